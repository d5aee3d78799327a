package simulate

var ErrRefused = errRefused
