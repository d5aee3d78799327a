// Package value turns Convex values into JSON and back.
//
// Convex has types that JSON lacks: 64-bit integers, bytes, NaN, infinities and
// -0. On the wire they are objects with one member whose name begins with a
// dollar sign, such as {"$integer":"KgAAAAAAAAA="}. Decode reads that form;
// Append writes it, or plain JSON for people (see Format). Members, Split and
// SoleObject take a request apart and leave what they find undecoded, for
// arguments of many megabytes that have a decoder of their own.
//
// Everything is a function of its arguments and may be used concurrently.
package value
