package functions

import (
	"context"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/dashboard"
	schema "github.com/ecovolt/telemetryd/sql"
)

// ownRun is the body of a function that acts for one account.
type ownRun func(ctx context.Context, owner string, args registry.Args) (any, error)

// ownQuery reads an account's own rows.
func ownQuery(name string, run ownRun, args ...registry.ObjectField) registry.Function {
	return registry.Function{
		Name: name, Kind: registry.Query, Access: auth.OwnDashboard, Args: registry.Object(append(args, tokenArg())...),
		Run: func(ctx context.Context, c *registry.Call) (any, error) {
			c.Watch(schema.TopicDashboard(c.Principal.UserID))
			return run(ctx, c.Principal.UserID, c.Args)
		},
	}
}

// ownMutation writes an account's own rows.
func ownMutation(name string, run ownRun, args ...registry.ObjectField) registry.Function {
	return registry.Function{
		Name: name, Kind: registry.Mutation, Access: auth.OwnDashboard, Args: registry.Object(append(args, tokenArg())...),
		Run: func(ctx context.Context, c *registry.Call) (any, error) { return run(ctx, c.Principal.UserID, c.Args) },
	}
}

// done is the answer of mutations that have nothing else to say.
func done(err error) (any, error) { return map[string]any{"success": true}, err }

// dashboards is the modules dashboardPreferences, dashboardViews,
// dashboardWidgets and dashboardAlerts.
func dashboards(d Deps) []registry.Function {
	var all []registry.Function
	all = append(all, dashboardPreferences(d.Dashboards)...)
	all = append(all, dashboardViews(d.Dashboards)...)
	all = append(all, dashboardWidgets(d.Dashboards)...)
	return append(all, dashboardAlerts(d.Dashboards)...)
}

func dashboardPreferences(s *dashboard.Service) []registry.Function {
	text, number := registry.String(), registry.Number()
	return []registry.Function{
		ownQuery("dashboardPreferences:getMine", func(ctx context.Context, owner string, _ registry.Args) (any, error) {
			return s.Preferences(ctx, owner)
		}),
		ownMutation("dashboardPreferences:updateMine", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return s.UpdatePreferences(ctx, owner, dashboard.PreferencesChange{
				Theme:               optionalText(args, "theme"),
				DefaultViewKey:      optionalText(args, "defaultViewKey"),
				LastViewKey:         optionalText(args, "lastViewKey"),
				SystemViewVersion:   optionalNumber(args, "systemViewVersion"),
				LegacyImportVersion: optionalNumber(args, "legacyImportVersion"),
			})
		}, registry.Optional("theme", registry.Literals(dashboard.Themes...)), registry.Optional("defaultViewKey", text), registry.Optional("lastViewKey", text),
			registry.Optional("systemViewVersion", number), registry.Optional("legacyImportVersion", number)),
	}
}

func dashboardViews(s *dashboard.Service) []registry.Function {
	text := registry.String()
	viewID, viewKey, name := registry.Field("viewId", text), registry.Field("viewKey", text), registry.Field("name", text)
	return []registry.Function{
		ownQuery("dashboardViews:listMine", func(ctx context.Context, owner string, _ registry.Args) (any, error) {
			return s.Views(ctx, owner)
		}),
		ownMutation("dashboardViews:create", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return s.CreateView(ctx, owner, dashboard.NewView{
				ViewKey: args.String("viewKey"), Name: args.String("name"), Kind: args.String("kind"), SystemViewID: optionalText(args, "systemViewId"),
			})
		}, viewKey, name, registry.Field("kind", registry.Literals(dashboard.KindSystemOverride, dashboard.KindCustom)), registry.Optional("systemViewId", text)),
		ownMutation("dashboardViews:rename", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return s.RenameView(ctx, owner, args.String("viewId"), args.String("name"))
		}, viewID, name),
		ownMutation("dashboardViews:duplicate", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return s.DuplicateView(ctx, owner, args.String("sourceViewId"), args.String("viewKey"), args.String("name"))
		}, registry.Field("sourceViewId", text), viewKey, name),
		ownMutation("dashboardViews:remove", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return done(s.RemoveView(ctx, owner, args.String("viewId")))
		}, viewID),
		ownMutation("dashboardViews:setDefault", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return done(s.SetDefaultView(ctx, owner, args.String("viewKey")))
		}, viewKey),
		ownMutation("dashboardViews:reorder", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return done(s.ReorderViews(ctx, owner, texts(args, "viewIds")))
		}, registry.Field("viewIds", registry.Array(text))),
		ownMutation("dashboardViews:resetSystemOverride", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return done(s.ResetSystemOverride(ctx, owner, args.String("systemViewId")))
		}, registry.Field("systemViewId", text)),
	}
}

func dashboardWidgets(s *dashboard.Service) []registry.Function {
	text, number := registry.String(), registry.Number()
	viewID, expected := registry.Field("viewId", text), registry.Optional("expectedRevision", number)
	metric := registry.Literals(dashboard.Metrics...)
	widget := registry.Object(
		registry.Field("instanceId", text), registry.Field("widgetType", registry.Literals(dashboard.WidgetTypes...)), registry.Optional("title", text),
		registry.Field("column", number), registry.Field("row", number), registry.Field("width", number), registry.Field("height", number),
		registry.Field("pinned", registry.Bool()),
		registry.Field("config", registry.Object(
			registry.Optional("metric", metric), registry.Optional("comparisonMetric", metric),
			registry.Optional("timeWindow", registry.Literals(dashboard.TimeWindows...)),
			registry.Optional("chartStyle", registry.Literals(dashboard.ChartStyles...)),
			registry.Optional("series", registry.Array(metric)),
		)),
	)
	widgets := registry.Field("widgets", registry.Array(widget))
	return []registry.Function{
		ownQuery("dashboardWidgets:listMine", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return s.Widgets(ctx, owner, args.String("viewId"))
		}, viewID),
		ownMutation("dashboardWidgets:replaceViewLayout", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			revision, err := s.ReplaceLayout(ctx, owner, args.String("viewId"), widgetInputs(args), optionalNumber(args, "expectedRevision"))
			return map[string]any{"success": true, "revision": revision}, err
		}, viewID, widgets, expected),
		ownMutation("dashboardWidgets:importLocalDraft", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			imported, revision, err := s.ImportDraft(ctx, owner, args.String("viewId"), args.Number("importVersion", 0), widgetInputs(args))
			return map[string]any{"imported": imported, "revision": revision}, err
		}, viewID, registry.Field("importVersion", number), widgets),
		ownMutation("dashboardWidgets:upsert", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			saved, revision, err := s.UpsertWidget(ctx, owner, args.String("viewId"), widgetInput(args.Object("widget")), optionalNumber(args, "expectedRevision"))
			return map[string]any{"widget": saved, "revision": revision}, err
		}, viewID, registry.Field("widget", widget), expected),
		ownMutation("dashboardWidgets:remove", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			revision, err := s.RemoveWidget(ctx, owner, args.String("viewId"), args.String("instanceId"), optionalNumber(args, "expectedRevision"))
			return map[string]any{"success": true, "revision": revision}, err
		}, viewID, registry.Field("instanceId", text), expected),
	}
}

func dashboardAlerts(s *dashboard.Service) []registry.Function {
	text := registry.String()
	return []registry.Function{
		ownQuery("dashboardAlerts:listAcknowledgements", func(ctx context.Context, owner string, _ registry.Args) (any, error) {
			return s.Acknowledgements(ctx, owner)
		}),
		ownMutation("dashboardAlerts:setAcknowledged", func(ctx context.Context, owner string, args registry.Args) (any, error) {
			return done(s.SetAcknowledged(ctx, owner, args.String("eventKey"), args.Bool("acknowledged"), optionalText(args, "sessionId")))
		}, registry.Field("eventKey", text), registry.Field("acknowledged", registry.Bool()), registry.Optional("sessionId", text)),
		ownMutation("dashboardAlerts:clearAcknowledged", func(ctx context.Context, owner string, _ registry.Args) (any, error) {
			removed, err := s.ClearAcknowledged(ctx, owner)
			return map[string]any{"removed": removed}, err
		}),
	}
}

func widgetInputs(args registry.Args) []dashboard.WidgetInput {
	var list []dashboard.WidgetInput
	for _, object := range args.Objects("widgets") {
		list = append(list, widgetInput(object))
	}
	return list
}

func widgetInput(args registry.Args) dashboard.WidgetInput {
	config := args.Object("config")
	w := dashboard.WidgetInput{
		InstanceID: args.String("instanceId"), WidgetType: args.String("widgetType"), Title: optionalText(args, "title"),
		Column: args.Number("column", 0), Row: args.Number("row", 0), Width: args.Number("width", 0), Height: args.Number("height", 0),
		Pinned: args.Bool("pinned"),
		Config: dashboard.WidgetConfig{
			Metric: optionalText(config, "metric"), ComparisonMetric: optionalText(config, "comparisonMetric"),
			TimeWindow: optionalText(config, "timeWindow"), ChartStyle: optionalText(config, "chartStyle"),
		},
	}
	if config.Has("series") {
		w.Config.Series = texts(config, "series")
	}
	return w
}

// texts returns a list of texts; never nil.
func texts(args registry.Args, name string) []string {
	list := []string{}
	for _, item := range args.List(name) {
		text, _ := item.(string)
		list = append(list, text)
	}
	return list
}
