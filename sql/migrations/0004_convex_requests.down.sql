DROP TABLE convex_requests;
