package dashboard

const (
	MaxViews   = maxViews
	MaxWidgets = maxWidgets
)
