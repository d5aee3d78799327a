package archive

// Stats are the figures of a session that its overview carries. All are finite.
type Stats struct {
	Distance      float64 `json:"distance"`      // km
	MaxSpeed      float64 `json:"maxSpeed"`      // km/h
	AvgSpeed      float64 `json:"avgSpeed"`      // km/h, of the records that move
	EnergyWh      float64 `json:"energyWh"`      // Wh
	Efficiency    float64 `json:"efficiency"`    // km/kWh, 0 when unknown
	DurationMin   float64 `json:"durationMin"`   // minutes
	AvgPower      float64 `json:"avgPower"`      // W
	MaxPower      float64 `json:"maxPower"`      // W
	AvgVoltage    float64 `json:"avgVoltage"`    // V
	MaxG          float64 `json:"maxG"`          // g
	OptimalSpeed  float64 `json:"optimalSpeed"`  // km/h, 0 when unknown
	QualityScore  float64 `json:"qualityScore"`  // mean, 0 when unknown
	ElevationGain float64 `json:"elevationGain"` // m
	AnomalyCount  float64 `json:"anomalyCount"`  // records
	RecordCount   float64 `json:"recordCount"`   // records
}

// statsFigures is how many figures there are.
const statsFigures = 15

// figures lists where the figures stand, in an order that must not change:
// signed names hold them by it.
func (s *Stats) figures() [statsFigures]*float64 {
	return [statsFigures]*float64{
		&s.Distance, &s.MaxSpeed, &s.AvgSpeed, &s.EnergyWh, &s.Efficiency, &s.DurationMin, &s.AvgPower, &s.MaxPower,
		&s.AvgVoltage, &s.MaxG, &s.OptimalSpeed, &s.QualityScore, &s.ElevationGain, &s.AnomalyCount, &s.RecordCount,
	}
}
