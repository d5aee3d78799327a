// Package database opens the database that a command works on: the one that the
// operator names, or else telemetryd's own in a folder of its own.
//
// Only commands that store records may make that folder's database (Make, Own).
// Every other one finds it or says that there is none: an empty database that
// appears because somebody stood in the wrong folder looks like lost data.
package database
