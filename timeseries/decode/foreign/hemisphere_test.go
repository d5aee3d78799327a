package foreign

import (
	"strings"
	"testing"
)

// North and south, east and west in columns of their own are the signs.
func TestHemispheres(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, lat, lon, warned string }{
		{timed(",", "lat,N/S,lon,E/W", "33.5,S,70.25,W", "33.6,N,70.5,E"), "-33.5 33.6", "-70.25 70.5", ""},
		{timed(",", "latitude,a,longitude,b", "33.5,s,70.25,w"), "-33.5", "-70.25", ""},
		{timed(",", "latitude,longitude,speed_ms,lat_dir,lon_dir", "33.5,70.25,1,S,W", "-33.5,-70.25,1,S,W"), "-33.5 -33.5", "-70.25 -70.25", ""},
		{timed(";", "Latitude;N/S;Longitude;E/W", "33,5;S;;W"), "-33.5", "", ""},
		{timed(",", "lat,N/S", "33.5,S", "33.5,"), `-33.5 33.5 ""`, " ", ""}, // which is no number, and told
		{timed(",", "lat,lon,speed_ms,turn", "33.5,70.25,1,S"), "33.5", "70.25", `column "turn" holds N and S`},
		{timed(",", "lat,wind,lon", "33.5,S,70.25", "33.5,E,70.25"), "33.5 33.5", "70.25 70.25", ""},
		// The letter may stand beside the number, and degrees and minutes be one number.
		{timed(",", "latitude,longitude", "33.5S,W070.25", "33.6 N,070.5 e", "n/a,-"), "-33.5 33.6 ", "-70.25 70.5 ", ""},
		{timed(",", "LATITUDE N/S,LONGITUDE E/W", "33.5N,70.25E"), "33.5", "70.25", ""},  // Columbus
		{timed(",", "latitude,longitude", "33.5S,1", "33.6,2"), "33.5S 33.6", "1 2", ""}, // told of as no number
		{timed(",", "Latitude (ddmm.mmmm),N/S,Longitude (dddmm.mmmm),E/W", "4807.038,S,01131.000,W"), "-48.1173", "-11.5166666666667", ""},
		{timed(",", "lat [minutes],lon [minutes]", "2887.038,691"), "48.1173", "11.5166666666667", ""},
	} {
		got, err := readTable(t, strings.NewReader(test.text), Options{})
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		var lat, lon []string
		for _, r := range got.records {
			lat, lon = append(lat, r["latitude"]), append(lon, r["longitude"])
		}
		warned := strings.Join(got.Warnings, "; ")
		if strings.Join(lat, " ") != test.lat || strings.Join(lon, " ") != test.lon || (warned == "") != (test.warned == "") || !strings.Contains(warned, test.warned) {
			t.Errorf("%s: %q, %q, warned %q", test.text, lat, lon, warned)
		}
	}
}
