package load

func (u *Uploads) AtOnce() float64 { return u.atOnce() }
