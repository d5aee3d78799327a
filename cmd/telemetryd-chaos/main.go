// Command telemetryd-chaos tries what telemetryd loses when everything around it
// fails, on a database of its own, and ends with 1 when it is anything.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ecovolt/telemetryd/internal/chaos"
	"github.com/ecovolt/telemetryd/internal/chaos/hostile"
)

type cli struct {
	Faults   int    `default:"1000" help:"How many faults."`
	AtOnce   int    `default:"1" help:"How many faults at once."`
	Hostile  bool   `help:"Attack one instance beside a bridge instead, in one way after the other, and measure."`
	Attack   string `placeholder:"NAME" help:"The only attack to make."`
	Seed     uint64 `default:"1" help:"The same seed makes the same faults in the same order."`
	Program  string `type:"path" placeholder:"FILE" help:"The telemetryd to try. Default: the one beside this program."`
	PGBindir string `name:"pg-bindir" env:"TELEMETRYD_PG_BINDIR" type:"path" placeholder:"DIR" help:"Folder of PostgreSQL's server programs. Default: looked for."`
}

// Run tries it in a temporary folder, which stays where anything is wrong.
func (c cli) Run(ctx context.Context) error {
	if c.Program == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Program = filepath.Join(filepath.Dir(self), "telemetryd")
	}
	dir, err := os.MkdirTemp("", "telemetryd-chaos-")
	if err != nil {
		return err
	}
	if c.Hostile {
		return c.attack(ctx, dir)
	}
	disk, err := chaos.Mount(dir)
	if err != nil {
		fmt.Println("no disk gets full, since none can be mounted:", err)
	}
	report, err := chaos.Run(ctx, chaos.Options{Program: c.Program, PGBinDir: c.PGBindir, Dir: dir, Faults: c.Faults, AtOnce: c.AtOnce, Seed: c.Seed, Disk: disk, Out: os.Stdout})
	if err != nil {
		return fmt.Errorf("%w; the database is in %s", err, dir)
	}
	report.Write(os.Stdout)
	if !report.OK() {
		return fmt.Errorf("not everything is as it should be; the database is in %s", dir)
	}
	if disk != nil {
		if err := disk.Remove(); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

func (c cli) attack(ctx context.Context, dir string) error {
	log, err := os.Create(filepath.Join(dir, "daemon.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	ok := true
	err = hostile.Run(ctx, hostile.Options{
		Program: c.Program, PGBinDir: c.PGBindir, Dir: dir, Only: c.Attack, During: 30 * time.Second, Alone: 10 * time.Second, Recovery: 10 * time.Second, Log: log,
	}, func(r *hostile.Report) {
		r.Write(os.Stdout)
		ok = ok && r.OK()
	})
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("the bridge did not get through, or the daemon grew; its log is in %s", dir)
	}
	return os.RemoveAll(dir)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(&cli{}, kong.Name("telemetryd-chaos"), kong.Description("Cuts, kills and fills up what telemetryd needs while it is at work, and counts what is lost or doubled."))
	command.BindTo(ctx, (*context.Context)(nil))
	command.FatalIfErrorf(command.Run())
}
