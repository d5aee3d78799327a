package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/ecovolt/telemetryd/api/access"
	"github.com/ecovolt/telemetryd/api/layouts"
	"github.com/ecovolt/telemetryd/api/openapi"
	"github.com/ecovolt/telemetryd/api/runbook"
	"github.com/ecovolt/telemetryd/api/shown"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/httpx"
	"github.com/ecovolt/telemetryd/internal/httpx/problem"
	"github.com/ecovolt/telemetryd/internal/load"
	"github.com/ecovolt/telemetryd/timeseries"
)

// Deps are what the API serves. Store, Auth and Log are needed.
type Deps struct {
	Store *timeseries.Store
	// Replica takes exports, charts, laps and tracks off Store's database; nil
	// is none.
	Replica *timeseries.Replica
	Auth    *auth.Service
	// Dashboards keeps what accounts arranged.
	Dashboards *dashboard.Service
	Convex     FunctionHandler // the endpoints of Convex clients
	// Live serves the live stream; see live.Stream. Nil serves none.
	Live   http.Handler
	Log    *slog.Logger
	Config Config
	// Ready reports why the daemon cannot work, such as a schema that is not
	// migrated. Nil is always ready.
	Ready func() error
	// Metrics serves /metrics; nil serves none.
	Metrics http.Handler
	// Results bounds the bytes of all answers until their clients have taken them.
	// Default 128 MiB.
	Results *load.Budget
	// Page serves the built-in page and everything else that no route claims.
	Page http.Handler
	// Observe is told of every request that was answered, and of every socket
	// that has ended; nil tells nobody. The values of method and route are few.
	Observe func(method, route string, status int, took time.Duration)
}

// FunctionHandler serves the endpoints of Convex clients. *http.Handler of
// package api/convex/http is one.
type FunctionHandler interface {
	http.Handler
	// Route names the endpoint that serves the request; "" is none of its own.
	Route(r *http.Request) string
}

// Config is what the API needs from the settings.
type Config struct {
	// AllowedOrigins are the web origins that may call; empty allows all. See Origins.
	AllowedOrigins []string
	// AblyKey and AblyVehicleKey are "name:secret" keys of the dashboard's and
	// the vehicle's Ably app; empty means not configured.
	AblyKey, AblyVehicleKey string
	// AblyChannel and AblyVehicleChannel are the channels that tokens are for.
	AblyChannel, AblyVehicleChannel string
	// PublicURL is the base URL that clients use, or "": then the name by which a
	// client reached us, if it is a local one or one of AllowedHosts.
	PublicURL    string
	AllowedHosts []string
	// MaxUpload bounds the decoded bytes of one upload. Default 4 GiB.
	MaxUpload int64
	// MaxSpool bounds the bytes of all uploads in temporary files, half of it those
	// of one caller. Default twice MaxUpload.
	MaxSpool int64
	// MaxIngests bounds the uploads that are stored at the same time. Default 8.
	MaxIngests int
	// TrustedProxies are the addresses or networks whose X-Forwarded-For counts.
	TrustedProxies []string
}

type server struct {
	Deps
	// pages and public are what pages of other origins may do with /api/v1 and
	// with the public routes.
	pages, public httpx.CORS
	admission     *load.Gate
	bodies        *httpx.Spooler
	site          *httpx.Site
	charts        *shown.Charts
	// What describes the routes is made when it is first asked for.
	description func() ([]byte, error)
	reference   func() ([]byte, error)
}

// New makes the handler of everything the daemon serves.
func New(d Deps) (http.Handler, error) {
	if d.Config.MaxUpload == 0 {
		d.Config.MaxUpload = 4 << 30
	}
	if d.Config.MaxSpool == 0 {
		d.Config.MaxSpool = 2 * d.Config.MaxUpload
	}
	if d.Results == nil {
		d.Results = load.NewBudget(128 << 20)
	}
	if d.Config.MaxIngests == 0 {
		d.Config.MaxIngests = 8
	}
	s := &server{
		Deps: d, admission: load.NewGate(d.Config.MaxIngests, ingestMemory), bodies: httpx.NewSpooler(d.Config.MaxUpload, d.Config.MaxSpool), charts: shown.NewCharts(),
	}
	origins := httpx.NewOrigins(d.Config.AllowedOrigins)
	s.pages = httpx.CORS{
		Origins: origins, Methods: "GET, POST, PUT, PATCH, DELETE, OPTIONS",
		Headers: "Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-None-Match",
		Expose:  "ETag, Link, Retry-After, X-Next-Cursor, X-Request-Id",
	}
	s.public = httpx.CORS{
		Origins: origins, Methods: "GET, POST, OPTIONS", Headers: "Content-Type, Authorization", Always: true, Refuse: refuseOrigin,
	}
	s.description = sync.OnceValues(s.describe)
	s.reference = sync.OnceValues(func() ([]byte, error) { return openapi.Reference(s.operations()) })
	trusted, err := httpx.ParseProxies(d.Config.TrustedProxies)
	if err != nil {
		return nil, err
	}
	s.site = httpx.NewSite(d.Config.PublicURL, d.Config.AllowedHosts, trusted, d.Log)
	engine := s.engine()
	return httpx.Protect(trusted.NoteClient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Convex != nil {
			if route := s.Convex.Route(r); route != "" {
				s.serveFunction(w, r, route)
				return
			}
		}
		engine.ServeHTTP(w, r)
	}))), nil
}

// engine routes everything but the functions.
func (s *server) engine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.HandleMethodNotAllowed = true
	engine.UseRawPath = true // a session id may hold an encoded slash
	engine.UnescapePathValues = true
	_ = engine.SetTrustedProxies(nil) // addresses are auth.ClientAddress's business
	engine.Use(s.identify, s.recover, s.observe, s.headers)
	for _, route := range s.routes() {
		engine.Handle(route.Method, route.Path, s.handle(route))
	}
	s.publicRoutes(engine)
	engine.NoMethod(func(c *gin.Context) {
		problem.Write(c.Writer, problem.Problem{Status: http.StatusMethodNotAllowed})
	})
	engine.NoRoute(func(c *gin.Context) {
		if s.Page != nil && !strings.HasPrefix(c.Request.URL.Path, "/api/") {
			s.Page.ServeHTTP(c.Writer, c.Request)
			return
		}
		s.fail(c, fault.New(fault.NotFound, "there is nothing at %s", c.Request.URL.Path))
	})
	return engine
}

// routes lists every route that the access rules guard.
func (s *server) routes() []route {
	return slices.Concat(
		s.ingestRoutes(),
		s.sessionRoutes(),
		s.mergeRoutes(),
		s.archiveRoutes(),
		s.seriesRoutes(), s.compareRoutes(), s.signalRoutes(), runbook.Routes(s.Store, s.Auth), s.briefRoutes(),
		s.authRoutes(), s.credentialRoutes(), layouts.Routes(s.Dashboards),
		s.userRoutes(),
		s.keyRoutes(),
		s.liveRoutes(),
		s.fieldRoutes(), s.channelRoutes(), s.unitRoutes(), s.trackRoutes(),
		s.descriptionRoutes(),
	)
}

// workTime is how long a request may be worked on, unless it is unhurried.
const workTime = time.Minute

// handle wraps a route with the access rules and error answers.
func (s *server) handle(route route) gin.HandlerFunc {
	ofSession := route.Action == auth.ReadRecords || route.Action == auth.ReadSeries || route.Action == auth.ReadHistory
	return func(c *gin.Context) {
		r := &request{Context: c, Results: s.Results}
		if route.Unhurried {
			httpx.Unhurried(c.Writer)
		} else {
			ctx, cancel := context.WithTimeout(c.Request.Context(), workTime)
			defer cancel()
			c.Request = c.Request.WithContext(ctx)
		}
		err := route.RefuseUnknown(c.Request.URL.RawQuery)
		if err == nil {
			err = s.admit(r, route.Action, ofSession)
		}
		if err == nil {
			err = route.Handle(r)
		}
		switch {
		case err == nil:
		case r.Lines != nil:
			r.Lines.Fail(c.Request, s.Log, c.FullPath(), err)
		default:
			s.fail(c, err)
		}
	}
}

func (s *server) admit(r *request, action auth.Action, ofSession bool) error {
	ctx := r.Request.Context()
	principal, err := s.Auth.Resolve(ctx, credentials(r))
	if err != nil {
		return err
	}
	r.Principal = principal
	ctx = auth.As(ctx, principal)
	r.Request = r.Request.WithContext(ctx)
	if ofSession {
		r.Session, err = s.admitSession(r, r.Param("id"), action)
		return err
	}
	r.Decision = auth.Allow(principal, action, auth.SessionAge{})
	if !r.Decision.Allowed {
		return r.Decision.Err
	}
	return nil
}

// admitSession applies the rule of an action to a session, and returns it.
func (s *server) admitSession(r *request, id string, action auth.Action) (*timeseries.Session, error) {
	session, decision, err := access.Session(r.Request.Context(), s.Store, r.Principal, action, id)
	switch {
	case err != nil:
		return nil, err
	case !decision.Allowed:
		return nil, decision.Err
	case session == nil:
		return nil, fault.NoSession(id)
	}
	return session, nil
}

// credentials are what a request brings to sign in with. A scheme that is not
// ours is nobody's.
func credentials(r *request) auth.Credentials {
	c, _ := httpx.Credentials(r.GetHeader("Authorization"))
	return c
}

// fail answers a request with what went wrong.
func (s *server) fail(c *gin.Context, err error) {
	c.Abort()
	httpx.Fail(c.Writer, c.Request, s.Log, c.FullPath(), c.Writer.Written(), err)
}

// identify gives each request an id that its log lines and errors carry.
func (s *server) identify(c *gin.Context) {
	c.Header("X-Request-Id", uuid.NewString())
}

func requestID(c *gin.Context) string { return c.Writer.Header().Get("X-Request-Id") }

// recover answers a panic with a plain failure. http.ErrAbortHandler passes:
// it cuts the connection on purpose.
func (s *server) recover(c *gin.Context) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.Error("panic", "request_id", requestID(c), "panic", v, "stack", string(debug.Stack()))
			if !c.Writer.Written() {
				s.fail(c, errors.New("panic"))
			}
		}
	}()
	c.Next()
}

// observe notes REST requests.
func (s *server) observe(c *gin.Context) {
	start := time.Now()
	defer func() {
		route := c.FullPath()
		if route == "" {
			route = "other"
		}
		s.note(c.Request, route, c.Writer.Status(), time.Since(start), "bytes", c.Writer.Size(), "request_id", requestID(c))
	}()
	c.Next()
}

// serveFunction serves one of the endpoints of Convex clients. A socket counts
// when it ends.
func (s *server) serveFunction(w http.ResponseWriter, r *http.Request, route string) {
	start := time.Now()
	recorder := &httpx.Recorder{ResponseWriter: w}
	defer func() { s.note(r, route, recorder.Status, time.Since(start)) }()
	s.Convex.ServeHTTP(recorder, r)
}

// note logs and counts a request. The path's pattern, not the path, is logged:
// the path may hold an id, and the query a credential. Nothing that a client
// makes up becomes a label.
func (s *server) note(r *http.Request, route string, status int, took time.Duration, more ...any) {
	method := httpx.Method(r)
	if s.Observe != nil {
		s.Observe(method, route, status, took)
	}
	s.Log.Debug("request", append([]any{"method", method, "route", route, "status", status, "ms", float64(took.Microseconds()) / 1e3}, more...)...)
}

// headers lets the pages that the settings allow use the REST API.
func (s *server) headers(c *gin.Context) {
	if !strings.HasPrefix(c.Request.URL.Path, "/api/v1/") {
		return
	}
	if !s.pages.Admit(c.Writer, c.Request) {
		c.Abort()
	}
}
