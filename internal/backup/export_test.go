package backup

var ErrNotEmpty = errNotEmpty
