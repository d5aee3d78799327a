DROP TABLE dashboard_acknowledgements;
DROP TABLE dashboard_widgets;
DROP TABLE dashboard_views;
DROP TABLE dashboard_preferences;
