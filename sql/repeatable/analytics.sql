-- Functions and views of long-race analytics. Applied whole whenever this file
-- or the rollups change, so everything in it must replace itself.
SELECT 1;
