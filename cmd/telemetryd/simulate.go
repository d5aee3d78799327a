package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/internal/simulate"
)

type simulateCmd struct {
	URL     string        `default:"http://127.0.0.1:3210" env:"TELEMETRYD_URL,CONVEX_URL" help:"Base URL of the server."`
	Key     string        `env:"TELEMETRYD_DEPLOY_KEY,CONVEX_DEPLOY_KEY" help:"Deploy key. Use the variable, not the flag: others can see a command line."`
	Cars    int           `default:"1" help:"Number of cars, 1 to 1000. Each is a session of its own."`
	Rate    float64       `default:"5" help:"Records per second of each car, 1 to 100. The real bridge sends 5."`
	Every   time.Duration `default:"250ms" help:"How often a car's new records are sent. The real bridge takes 2s."`
	For     time.Duration `help:"Stop after this time. Default: on Ctrl+C."`
	Seed    uint64        `default:"1" help:"Decides every value: the same seed drives the same laps."`
	Noise   float64       `default:"0.3" help:"Noise of the sensors; 1 is that of the team's exports, 0 is none."`
	Laps    int           `default:"6" help:"Laps between two pit stops."`
	Circuit uint64        `default:"0" help:"Decides the circuit: shape, length, heights and place. 0 is that of Nogaro."`
	Fixes   float64       `name:"gps-noise" help:"Noise of the positions in metres. Default: by --noise, 9 m of which are that of the team's exports."`
	Lost    float64       `name:"drop-outs" help:"Drop-outs of the radio per second, each a second long: 0.01 loses one record in a hundred."`
	Paces   []float64     `help:"How quick each lap is, such as 1,1.05,0.95: the driver begins at speed on the start line and keeps to it, without pit stops."`
	Workers int           `default:"0" help:"Uploads at the same time. Default: one for 50 cars, at most 8."`
	Convex  bool          `help:"Send to the function endpoint, in batches as the team's bridge sends them."`
	Quiet   bool          `short:"q" help:"Print nothing but problems."`
}

func (s simulateCmd) Validate() error {
	switch {
	case s.Cars < 1 || s.Cars > 1000:
		return fmt.Errorf("--cars must be between 1 and 1000")
	case s.Rate < 1 || s.Rate > 100:
		return fmt.Errorf("--rate must be between 1 and 100")
	case s.Every < 10*time.Millisecond:
		return fmt.Errorf("--every must be at least 10ms")
	case s.Noise < 0:
		return fmt.Errorf("--noise must not be negative")
	case s.Fixes < 0:
		return fmt.Errorf("--gps-noise must not be negative")
	case s.Lost < 0 || s.Lost > 0.5:
		return fmt.Errorf("--drop-outs must be from 0 to 0.5")
	}
	for _, pace := range s.Paces {
		if !(pace >= 0.2 && pace <= 2) {
			return fmt.Errorf("--paces must be from 0.2 to 2")
		}
	}
	return nil
}

// Help is shown with the flags.
func (s simulateCmd) Help() string {
	return "Drives cars around a circuit and sends what their sensors say to a running server: laps, pulses and glides, " +
		"pit stops, GPS. The first car is also reported as the live session, and its driver is notified now and then."
}

func (s simulateCmd) Run(ctx context.Context, log *slog.Logger) error {
	noise := s.Noise
	if noise == 0 {
		noise = -1
	}
	fleet := &simulate.Fleet{
		URL: strings.TrimRight(s.URL, "/"), Key: s.Key, Convex: s.Convex, Cars: s.Cars, Every: s.Every, Workers: s.Workers,
		Car: simulate.Options{Seed: s.Seed, Rate: s.Rate, Noise: noise, Laps: s.Laps, Source: "SIMULATED",
			Circuit: s.Circuit, Fixes: s.Fixes, DropOuts: s.Lost, Paces: s.Paces},
		Log: log,
	}
	if s.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.For)
		defer cancel()
	}
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- fleet.Run(ctx) }()
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	var last simulate.Stats
	for {
		select {
		case err := <-done:
			if !s.Quiet {
				stats := fleet.Stats()
				fmt.Fprintf(os.Stderr, "sent %d records of %d cars in %v; %d requests sent again, %d records given up\n",
					stats.Sent, s.Cars, time.Since(begun).Round(100*time.Millisecond), stats.Retried, stats.Lost)
				for i, id := range fleet.SessionIDs() {
					if i == 3 && s.Cars > 4 {
						fmt.Fprintf(os.Stderr, "  and %d more\n", s.Cars-i)
						break
					}
					fmt.Println(id)
				}
			}
			return err
		case <-ticker.C:
			stats := fleet.Stats()
			if !s.Quiet {
				fmt.Fprintf(os.Stderr, "%.0f records/s, %d in all, last upload %v\n",
					float64(stats.Sent-last.Sent)/5, stats.Sent, stats.Latency.Round(100*time.Microsecond))
			}
			last = stats
		}
	}
}
