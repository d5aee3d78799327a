package daemon

import (
	"context"
	"log/slog"
	"time"
)

// Config is everything that can be set about a running daemon. The command line
// fills it from flags and TELEMETRYD_* variables; the tags are for kong.
type Config struct {
	Listen       string        `default:"127.0.0.1:3210" help:"Address to serve on, host:port. Port 0 takes a free one."`
	PublicURL    string        `placeholder:"URL" env:"TELEMETRYD_PUBLIC_URL,CONVEX_URL" help:"Base URL that clients use, told to pages that ask and put before links. Without it the name by which a client came, if that is an address, a local name or one of --allow-hosts."`
	DeployKey    string        `placeholder:"KEY" env:"TELEMETRYD_DEPLOY_KEY,CONVEX_DEPLOY_KEY" help:"A deploy key besides those of 'telemetryd key'. Use the variable, not the flag: others can see a command line."`
	AllowHosts   []string      `placeholder:"NAME" help:"Names under which clients may reach the daemon besides the public URL, addresses and local names: links are made of them."`
	AllowOrigins []string      `placeholder:"ORIGIN" env:"TELEMETRYD_ALLOW_ORIGINS,ALLOWED_WEB_ORIGINS" help:"Web origins that may call, '*' standing for a part of a name. None given: all."`
	TrustProxies []string      `placeholder:"ADDR" help:"Addresses or networks of proxies whose X-Forwarded-For, X-Forwarded-Proto and Host are believed."`
	MaxUpload    int64         `default:"4294967296" placeholder:"BYTES" help:"Largest upload, in bytes once decoded."`
	MaxSpool     int64         `placeholder:"BYTES" help:"Most bytes of all uploads in the folder for temporary files, half of them of one key. Default: twice --max-upload."`
	MaxIngests   int           `default:"8" placeholder:"N" help:"Uploads stored at the same time; more wait their turn."`
	ChartMemory  int           `default:"50331648" placeholder:"BYTES" help:"Memory for what charts and compared laps read of runs, in bytes. 0 holds nothing."`
	Drain        time.Duration `default:"20s" help:"How long a stopping daemon waits for requests that it accepted."`

	TLSCert string `type:"existingfile" placeholder:"FILE" help:"Certificate chain, PEM. Without it a proxy must bring TLS."`
	TLSKey  string `type:"existingfile" placeholder:"FILE" help:"Private key of the certificate, PEM."`

	AblyKey            string `placeholder:"KEY" env:"TELEMETRYD_ABLY_KEY,ABLY_API_KEY" help:"Ably key of the dashboards, name:secret."`
	AblyChannel        string `default:"telemetry-dashboard-channel" env:"TELEMETRYD_ABLY_CHANNEL,ABLY_CHANNEL_NAME" help:"Ably channel of the dashboards."`
	AblyVehicleKey     string `placeholder:"KEY" env:"TELEMETRYD_ABLY_VEHICLE_KEY,ESP32_ABLY_API_KEY" help:"Ably key of the driver's page, name:secret."`
	AblyVehicleChannel string `default:"EcoTele" env:"TELEMETRYD_ABLY_VEHICLE_CHANNEL,ESP32_ABLY_CHANNEL_NAME" help:"Ably channel of the vehicle."`

	AblyRelayKey string `placeholder:"KEY" help:"Ably key that may publish, name:secret. With it, live records go to the dashboards' channel from here: set it only where the bridge does not publish itself."`
	AblyURL      string `default:"https://rest.ably.io" placeholder:"URL" help:"Where Ably's REST interface is."`

	AdminEmail    string `placeholder:"EMAIL" help:"With the password: make this first administrator when there is none."`
	AdminPassword string `placeholder:"PASSWORD" help:"Password of the first administrator. Use the variable, not the flag."`
	Pepper        string `placeholder:"SECRET" env:"TELEMETRYD_PEPPER,AUTH_PASSWORD_PEPPER" help:"Secret that password hashes depend on. Losing it locks all accounts out."`

	AdminsNeedSecondFactor bool `help:"Demand a second factor of administrators: without one they have the rights of internal accounts."`

	FormerPeppers  []string      `placeholder:"SECRET" help:"Peppers before this one, until everybody has signed in again."`
	ImportedPepper string        `placeholder:"SECRET" help:"Pepper of imported scrypt hashes. Default: the pepper."`
	HashMemory     uint32        `default:"19456" placeholder:"KIB" help:"Memory of a password hash, KiB."`
	HashIterations uint32        `default:"2" placeholder:"N" help:"Passes of a password hash."`
	HashThreads    uint8         `default:"1" placeholder:"N" help:"Lanes of a password hash."`
	HashSlots      int           `placeholder:"N" help:"Passwords checked at the same time. Default: half of the processors, at most 4."`
	KeepAudit      time.Duration `placeholder:"DURATION" help:"How long entries of the audit log are kept. Default: for ever."`

	ReadDatabaseURL string `placeholder:"URL" help:"A streaming replica for exports, charts, laps and tracks. The primary serves what it lacks."`

	MetricsListen string `placeholder:"ADDR" help:"Address to serve metrics on, such as 127.0.0.1:9210, instead of under /metrics for whoever reaches the daemon. Default: none."`

	DebugListen string `placeholder:"ADDR" help:"Address to serve Go's profiles on, such as 127.0.0.1:6060. They ask for no credential: keep it to this machine. Default: none."`

	Tick time.Duration `default:"100ms" help:"How often the live hub looks for what other instances stored."`

	// DemoKey is a deploy key for the cars of `serve --demo`, or "".
	DemoKey string `kong:"-"`
	// Database opens the database, migrates it and returns its URL. It may take as
	// long as there is none: requests are told to come again meanwhile.
	Database func(context.Context) (string, error) `kong:"-"`
	// DatabaseURL is where the migrated database is. Database overrides it.
	DatabaseURL string       `kong:"-"`
	Log         *slog.Logger `kong:"-"`
	Version     string       `kong:"-"`
}
