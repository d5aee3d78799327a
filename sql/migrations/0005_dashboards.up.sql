-- What an account keeps about its dashboards: settings, views, widgets, read alerts.
-- They go with the account.
CREATE TABLE dashboard_preferences (
    id                    text             PRIMARY KEY,
    owner                 text             NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    theme                 text             NOT NULL CHECK (theme IN ('circuit', 'technical-light')),
    default_view_key      text,
    last_view_key         text,
    system_view_version   double precision NOT NULL DEFAULT 1,
    legacy_import_version double precision NOT NULL DEFAULT 0,
    created_at            timestamptz      NOT NULL DEFAULT clock_timestamp(),
    updated_at            timestamptz      NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE dashboard_preferences IS 'Dashboard settings, one row per account that has any';
COMMENT ON COLUMN dashboard_preferences.id IS 'Opaque id that clients see';
COMMENT ON COLUMN dashboard_preferences.owner IS 'The account';
COMMENT ON COLUMN dashboard_preferences.theme IS 'circuit or technical-light';
COMMENT ON COLUMN dashboard_preferences.default_view_key IS 'View that opens first; need not exist';
COMMENT ON COLUMN dashboard_preferences.last_view_key IS 'View that was open last; need not exist';
COMMENT ON COLUMN dashboard_preferences.system_view_version IS 'Version of the built-in views that the client has seen, from 1';
COMMENT ON COLUMN dashboard_preferences.legacy_import_version IS 'Version of the newest import from browser storage; 0 for none';
COMMENT ON COLUMN dashboard_preferences.created_at IS 'Server time of the first save';
COMMENT ON COLUMN dashboard_preferences.updated_at IS 'Server time of the newest save';

CREATE TABLE dashboard_views (
    id             text        PRIMARY KEY,
    owner          text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    view_key       text        NOT NULL,
    name           text        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('system-override', 'custom')),
    system_view_id text,
    position       integer     NOT NULL,
    revision       integer     NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (owner, view_key)
);
COMMENT ON TABLE dashboard_views IS 'Saved views; at most 12 per account';
COMMENT ON COLUMN dashboard_views.id IS 'Opaque id that clients see';
COMMENT ON COLUMN dashboard_views.owner IS 'The account';
COMMENT ON COLUMN dashboard_views.view_key IS 'Name that the client chose, unique per account';
COMMENT ON COLUMN dashboard_views.name IS 'Title for people';
COMMENT ON COLUMN dashboard_views.kind IS 'custom, or system-override for a changed built-in view';
COMMENT ON COLUMN dashboard_views.system_view_id IS 'The built-in view it came from';
COMMENT ON COLUMN dashboard_views.position IS 'Place in the list, from 0';
COMMENT ON COLUMN dashboard_views.revision IS 'Changes so far, count; a save names the one it started from';
COMMENT ON COLUMN dashboard_views.created_at IS 'Server time when it was made';
COMMENT ON COLUMN dashboard_views.updated_at IS 'Server time of the newest change';

CREATE TABLE dashboard_widgets (
    ord         bigint      GENERATED ALWAYS AS IDENTITY,
    id          text        PRIMARY KEY,
    view        text        NOT NULL REFERENCES dashboard_views (id) ON DELETE CASCADE,
    instance_id text        NOT NULL,
    widget_type text        NOT NULL,
    title       text,
    col         integer     NOT NULL,
    row         integer     NOT NULL,
    width       integer     NOT NULL,
    height      integer     NOT NULL,
    pinned      boolean     NOT NULL,
    config      jsonb       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (view, instance_id)
);
CREATE INDEX dashboard_widgets_view ON dashboard_widgets (view, ord);
COMMENT ON TABLE dashboard_widgets IS 'Widgets of the saved views; at most 24 per view';
COMMENT ON COLUMN dashboard_widgets.ord IS 'Insertion order';
COMMENT ON COLUMN dashboard_widgets.id IS 'Opaque id that clients see';
COMMENT ON COLUMN dashboard_widgets.view IS 'The view it stands in';
COMMENT ON COLUMN dashboard_widgets.instance_id IS 'Name that the client chose, unique per view';
COMMENT ON COLUMN dashboard_widgets.widget_type IS 'What it shows, such as speed-trend';
COMMENT ON COLUMN dashboard_widgets.title IS 'Title, where the user changed it';
COMMENT ON COLUMN dashboard_widgets.col IS 'Left edge in the grid of 12 columns, from 0';
COMMENT ON COLUMN dashboard_widgets.row IS 'Upper edge, rows from 0';
COMMENT ON COLUMN dashboard_widgets.width IS 'Width, grid columns';
COMMENT ON COLUMN dashboard_widgets.height IS 'Height, grid rows';
COMMENT ON COLUMN dashboard_widgets.pinned IS 'Whether the user fixed it in place';
COMMENT ON COLUMN dashboard_widgets.config IS 'Metric, comparisonMetric, timeWindow, chartStyle, series';
COMMENT ON COLUMN dashboard_widgets.created_at IS 'Server time when it was made';
COMMENT ON COLUMN dashboard_widgets.updated_at IS 'Server time of the newest change';

CREATE TABLE dashboard_acknowledgements (
    id              text        PRIMARY KEY,
    owner           text        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    event_key       text        COLLATE "C" NOT NULL,
    session_id      text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (owner, event_key)
);
COMMENT ON TABLE dashboard_acknowledgements IS 'Alerts that an account has marked as read';
COMMENT ON COLUMN dashboard_acknowledgements.id IS 'Opaque id that clients see';
COMMENT ON COLUMN dashboard_acknowledgements.owner IS 'The account';
COMMENT ON COLUMN dashboard_acknowledgements.event_key IS 'The alert, as the client names it';
COMMENT ON COLUMN dashboard_acknowledgements.session_id IS 'The run that the alert was about, by the id that clients use';
COMMENT ON COLUMN dashboard_acknowledgements.created_at IS 'Server time of the first acknowledgement';
COMMENT ON COLUMN dashboard_acknowledgements.acknowledged_at IS 'Server time of the newest acknowledgement';
