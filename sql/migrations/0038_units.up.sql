-- In which units an account's owner likes to see values.
ALTER TABLE users ADD COLUMN units text NOT NULL DEFAULT 'metric' CHECK (units IN ('metric', 'si'));
COMMENT ON COLUMN users.units IS 'Units that values are shown in: metric (km/h, Wh, degC) or si (m/s, J, K)';
