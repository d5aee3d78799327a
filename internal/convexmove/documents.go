package convexmove

import (
	"math"
	"time"

	"github.com/ecovolt/telemetryd/dashboard"
	"github.com/ecovolt/telemetryd/timeseries"
)

// The tables of the former backend that hold something to move.
const (
	tableTelemetry     = "telemetry"
	tableArchives      = "telemetryArchives"
	tableSessions      = "sessions"
	tableAccounts      = "authUsers"
	tableProfiles      = "user_profiles"
	tableLive          = "liveSessionState"
	tableNotifications = "driver_notifications"
	tablePreferences   = "dashboardPreferences"
	tableViews         = "dashboardViews"
	tableWidgets       = "dashboardWidgets"
	tableAlerts        = "dashboardAlertAcknowledgements"
)

// leftBehind are tables of the former backend that are not moved, and why.
var leftBehind = map[string]string{
	"authSessions":          "everybody signs in anew",
	"authRateLimits":        "counts of sign-in attempts do not outlive the move",
	"authAuditLog":          "the audit log begins anew; keep the snapshot for the old one",
	"sessionAnalyses":       "written briefs of runs are not part of telemetryd",
	"sessionChatThreads":    "chats about runs are not part of telemetryd",
	"sessionChatMessages":   "chats about runs are not part of telemetryd",
	"inventoryItems":        "the inventory is not part of telemetryd",
	"inventoryMovements":    "the inventory is not part of telemetryd",
	"inventoryLoanRequests": "the inventory is not part of telemetryd",
}

// document is what every document has.
type document struct {
	ID           string  `json:"_id"`
	CreationTime float64 `json:"_creationTime"` // ms since 1970
}

func (d document) created() time.Time { return millis(d.CreationTime) }

// millis reads milliseconds since 1970, kept to the microsecond.
func millis(ms float64) time.Time {
	if math.IsNaN(ms) || math.Abs(ms) > 1e14 {
		return time.UnixMicro(0).UTC()
	}
	return time.UnixMicro(int64(math.Round(ms * 1000))).UTC()
}

// millisOr is millis, or otherwise when there is none.
func millisOr(ms float64, otherwise time.Time) time.Time {
	if ms <= 0 {
		return otherwise
	}
	return millis(ms)
}

type accountDocument struct {
	document
	Email           string `json:"email"`
	NormalizedEmail string `json:"normalizedEmail"`
	PasswordHash    string `json:"passwordHash"`
	Name            string `json:"name"`
}

type profileDocument struct {
	document
	UserID         string `json:"userId"`
	Name           string `json:"name"`
	Role           string `json:"role"`
	RequestedRole  string `json:"requested_role"`
	ApprovalStatus string `json:"approval_status"`
}

type sessionDocument struct {
	document
	SessionID   string  `json:"session_id"`
	RecordCount float64 `json:"record_count"`
}

type archiveDocument struct {
	document
	SessionID   string  `json:"session_id"`
	PartNumber  float64 `json:"part_number"`
	StorageID   string  `json:"storage_id"`
	RecordCount float64 `json:"record_count"`
}

type liveDocument struct {
	document
	Status      string  `json:"status"`
	SessionID   string  `json:"session_id"`
	SessionName *string `json:"session_name"`
	StartedAt   string  `json:"started_at"`
	EndedAt     *string `json:"ended_at"`
	Reason      *string `json:"reason"`
	RecordCount float64 `json:"record_count"`
}

type notificationDocument struct {
	document
	timeseries.NewNotification
}

type preferencesDocument struct {
	document
	OwnerID             string   `json:"ownerId"`
	Theme               *string  `json:"theme"`
	DefaultViewKey      *string  `json:"defaultViewKey"`
	LastViewKey         *string  `json:"lastViewKey"`
	SystemViewVersion   *float64 `json:"systemViewVersion"`
	LegacyImportVersion *float64 `json:"legacyImportVersion"`
	UpdatedAt           float64  `json:"updatedAt"`
}

type viewDocument struct {
	document
	OwnerID      string  `json:"ownerId"`
	ViewKey      string  `json:"viewKey"`
	Name         string  `json:"name"`
	Kind         string  `json:"kind"`
	SystemViewID *string `json:"systemViewId"`
	Position     float64 `json:"position"`
	Revision     float64 `json:"revision"`
	CreatedAt    float64 `json:"createdAt"`
	UpdatedAt    float64 `json:"updatedAt"`
}

type widgetDocument struct {
	document
	OwnerID string `json:"ownerId"`
	ViewID  string `json:"viewId"`
	dashboard.WidgetInput
	CreatedAt float64 `json:"createdAt"`
	UpdatedAt float64 `json:"updatedAt"`
}

type alertDocument struct {
	document
	OwnerID        string  `json:"ownerId"`
	EventKey       string  `json:"eventKey"`
	SessionID      *string `json:"sessionId"`
	AcknowledgedAt float64 `json:"acknowledgedAt"`
}
