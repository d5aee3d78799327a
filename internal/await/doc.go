// Package await waits, in tests, for what they are not told of: a figure of a
// process, a row, a line of a log. It measures nothing: how long a test waits
// says how busy the machine is, so what is awaited may take as long as nobody
// would call it slow any more.
package await
