-- What people allow a run, or ask of it, beside what the book says otherwise.
ALTER TABLE run_book
    ADD COLUMN plan_energy_wh   double precision CHECK (plan_energy_wh > 0 AND plan_energy_wh < 'Infinity'),
    ADD COLUMN plan_laps        integer          CHECK (plan_laps > 0),
    ADD COLUMN plan_distance_km double precision CHECK (plan_distance_km > 0 AND plan_distance_km < 'Infinity'),
    ADD COLUMN plan_time_s      double precision CHECK (plan_time_s > 0 AND plan_time_s < 'Infinity');
COMMENT ON COLUMN run_book.plan_energy_wh IS 'How much it may use, Wh';
COMMENT ON COLUMN run_book.plan_laps IS 'How many laps it is to drive, count';
COMMENT ON COLUMN run_book.plan_distance_km IS 'How far it is to go, km';
COMMENT ON COLUMN run_book.plan_time_s IS 'How long it may take, s';
