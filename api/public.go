package api

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/ecovolt/telemetryd/realtime/ably"
)

// publicRoutes are the endpoints that need no account: health and settings for
// clients, Ably tokens, and the probes of whoever operates the daemon.
func (s *server) publicRoutes(engine *gin.Engine) {
	for path, handle := range map[string]gin.HandlerFunc{
		"/health":           s.health,
		"/ably/token":       s.ablyToken,
		"/ably/esp32-token": s.ablyVehicleToken,
		"/api/ably/token":   s.ablyToken, // the dashboards' older default
	} {
		engine.GET(path, s.webOrigin, handle)
		engine.OPTIONS(path, s.webOrigin)
	}
	engine.GET("/api/config", s.webOrigin, s.publicConfig)
	engine.GET("/livez", func(c *gin.Context) { c.String(http.StatusOK, "ok\n") })
	engine.GET("/readyz", s.readyz)
	for _, path := range []string{"/docs", "/api", "/api/", "/api/v1", "/api/v1/"} { // where people look for it
		engine.GET(path, func(c *gin.Context) { c.Redirect(http.StatusFound, "/api/v1/docs") })
	}
	if s.Metrics != nil {
		engine.GET("/metrics", gin.WrapH(s.Metrics))
	}
}

// webOrigin applies ALLOWED_WEB_ORIGINS as the function contract's section on
// CORS has it, and answers preflights.
func (s *server) webOrigin(c *gin.Context) {
	c.Header("Cache-Control", "no-store") // before preflights are answered
	if !s.public.Admit(c.Writer, c.Request) {
		c.Abort()
	}
}

func refuseOrigin(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/ably/") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, `{"error":"Origin not allowed"}`)
}

func (s *server) health(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"ok": true, "time": time.Now().UTC().Format("2006-01-02T15:04:05.000Z")})
}

func (s *server) readyz(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), 5*time.Second)
	defer cancel()
	err := s.Store.Ping(ctx)
	if err == nil && s.Ready != nil {
		err = s.Ready()
	}
	if err != nil {
		s.Log.Warn("not ready", "error", err)
		c.String(http.StatusServiceUnavailable, "not ready: the database does not answer or is not migrated\n")
		return
	}
	c.String(http.StatusOK, "ok\n")
}

// publicConfig is merged over a page's own settings; its ABLY_AUTH_URL is
// absolute, so that a page of any origin finds the token route. Where it is not
// known under which name clients may reach us, the page's own settings stand.
func (s *server) publicConfig(c *gin.Context) {
	config := gin.H{"ABLY_CHANNEL_NAME": s.Config.AblyChannel}
	if base := s.site.BaseURL(c.Request); base != "" {
		config["ABLY_AUTH_URL"], config["CONVEX_URL"] = base+"/ably/token", base
	}
	c.JSON(http.StatusOK, config)
}

func (s *server) ablyToken(c *gin.Context) {
	s.writeAblyToken(c, ablyRequest{
		key: s.Config.AblyKey, channel: s.Config.AblyChannel, operations: []string{"history", "subscribe"}, clientID: "dashboard-web",
		missing: gin.H{"error": "Ably API key not configured", "help": "Set ABLY_API_KEY to the key of the dashboard's Ably app."},
		failed:  gin.H{"error": "Failed to create Ably token request"},
	})
}

func (s *server) ablyVehicleToken(c *gin.Context) {
	s.writeAblyToken(c, ablyRequest{
		key: s.Config.AblyVehicleKey, channel: s.Config.AblyVehicleChannel, operations: []string{"subscribe"}, clientID: "driver-web",
		missing: gin.H{"error": "ESP32 Ably API key not configured"},
		failed:  gin.H{"error": "Failed to create ESP32 Ably token request"},
	})
}

type ablyRequest struct {
	key, channel    string
	operations      []string
	clientID        string
	missing, failed gin.H
}

var ablyClientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (s *server) writeAblyToken(c *gin.Context, r ablyRequest) {
	key := strings.TrimSpace(r.key)
	if key == "" {
		c.JSON(http.StatusInternalServerError, r.missing)
		return
	}
	if id := c.Query("clientId"); ablyClientID.MatchString(id) {
		r.clientID = id
	}
	token, err := ably.NewTokenRequest(key, r.channel, r.operations, r.clientID, time.Now(), uuid.NewString())
	if err != nil {
		s.Log.Error("sign Ably token request", "error", err)
		c.JSON(http.StatusInternalServerError, r.failed)
		return
	}
	c.JSON(http.StatusOK, token)
}
