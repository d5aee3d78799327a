package load

func (u *InFlight) AtOnce() float64 { return u.atOnce() }
