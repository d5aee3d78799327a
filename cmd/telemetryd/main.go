package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/ecovolt/telemetryd/timeseries/decode/foreign"
)

// version is set by release builds (-ldflags "-X main.version=..."). Others go by
// what the Go tool noted of the module and the revision.
var version string

func init() {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
}

type cli struct {
	Log globalLog `embed:"" prefix:"log-"`

	Serve    serveCmd    `cmd:"" help:"Serve the API, the function endpoints and the page."`
	Migrate  migrateCmd  `cmd:"" help:"Bring the database to this version's schema."`
	Import   importCmd   `cmd:"" help:"Store records from CSV or NDJSON files."`
	Merge    mergeCmd    `cmd:"" help:"Merge the file of the car's logger into the run that the radio sent."`
	Export   exportCmd   `cmd:"" help:"Write a session's records as CSV, NDJSON or JSON."`
	Repair   repairCmd   `cmd:"" help:"Put records back that were set aside since their time cannot be right, or drop them."`
	Run      runCmd      `cmd:"" help:"Say what people know of runs, and find and compare runs by it."`
	Watch    watchCmd    `cmd:"" help:"Show a live session in the terminal."`
	Backup   backupCmd   `cmd:"" help:"Write the database into a file, while it is in use."`
	Restore  restoreCmd  `cmd:"" help:"Fill an empty database from a file of backup."`
	User     userCmd     `cmd:"" help:"Manage accounts."`
	Key      keyCmd      `cmd:"" help:"Manage deploy keys."`
	Channel  channelCmd  `cmd:"" help:"Say what cars measure: names, units, limits."`
	Psql     psqlCmd     `cmd:"" help:"Open psql on the database, to read and analyse."`
	Simulate simulateCmd `cmd:"" help:"Send the telemetry of believable cars to a server."`
	Doctor   doctorCmd   `cmd:"" help:"Look at the database and the machine, and say what to do."`
	Version  versionCmd  `cmd:"" help:"Print the version."`

	ImportConvex importConvexCmd `cmd:"" name:"import-convex" help:"Move accounts, runs, notifications and dashboards from a Convex snapshot."`

	Healthcheck healthcheckCmd `cmd:"" help:"Succeed when the daemon of this machine is ready to serve." hidden:""`

	Completion kongcompletion.Completion `cmd:"" help:"Print the line that makes your shell complete telemetryd's commands."`
}

// signed is the value of a flag that may begin with a minus, which would else be
// taken for another flag.
type signed string

// Decode takes the next argument, whatever it looks like.
func (s *signed) Decode(ctx *kong.DecodeContext) error {
	value := ctx.Scan.Pop()
	if value.IsEOL() {
		return errors.New("needs a value")
	}
	*s = signed(value.String())
	return nil
}

type globalLog struct {
	Level  slog.Level `default:"info" enum:"debug,info,warn,error,DEBUG,INFO,WARN,ERROR" help:"Least level to log: debug, info, warn or error."`
	Format string     `default:"text" enum:"text,json" help:"Form of log lines: text or json."`
}

func (g globalLog) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: g.Level}
	if g.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("telemetryd", version)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func newParser(c *cli) *kong.Kong {
	return kong.Must(c,
		kong.Name("telemetryd"),
		kong.Description("Keeps a vehicle's telemetry in TimescaleDB and serves it live, at any zoom, and in SQL.\n\nEvery flag can be set by a variable: --database-url by TELEMETRYD_DATABASE_URL."),
		kong.DefaultEnvars("TELEMETRYD"),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.Vars{"profiles": strings.Join(foreign.Builtin(), ", ")},
	)
}

func run(ctx context.Context, args []string) int {
	var c cli
	parser := newParser(&c)
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(args)
	if err != nil {
		parser.Errorf("%s", err)
		return 2
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(c.Log.logger(os.Stderr))
	if err := parsed.Run(); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return 130
		}
		parser.Errorf("%s", err)
		return 1
	}
	return 0
}
