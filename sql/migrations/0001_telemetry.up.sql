-- The telemetry store: records, sessions, the commit log, live state, notifications.
CREATE EXTENSION IF NOT EXISTS timescaledb;

CREATE TABLE sessions (
    session    integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text        NOT NULL,
    name       text,
    first_time timestamptz,
    last_time  timestamptz,
    first_text text,
    last_text  text,
    records    bigint      NOT NULL DEFAULT 0,
    batch      integer     NOT NULL DEFAULT 0,
    revision   integer     NOT NULL DEFAULT 0,
    ended_at   timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz
);
-- A deleted session keeps its row until its records are gone; its id is free again at once.
CREATE UNIQUE INDEX sessions_id ON sessions (id) WHERE deleted_at IS NULL;
CREATE INDEX sessions_first_time ON sessions (first_time DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_deleted ON sessions (session) WHERE deleted_at IS NOT NULL;

COMMENT ON TABLE sessions IS 'One row per run, kept current by the transaction that stores a batch';
COMMENT ON COLUMN sessions.session IS 'Short key that records carry; never used again';
COMMENT ON COLUMN sessions.id IS 'The id that clients use';
COMMENT ON COLUMN sessions.name IS 'Name of the newest batch''s first record that had one';
COMMENT ON COLUMN sessions.first_time IS 'Time of the oldest record, UTC';
COMMENT ON COLUMN sessions.last_time IS 'Time of the newest record, UTC';
COMMENT ON COLUMN sessions.first_text IS 'The oldest record''s timestamp as received, where it is not in the usual form';
COMMENT ON COLUMN sessions.last_text IS 'The newest record''s timestamp as received, where it is not in the usual form';
COMMENT ON COLUMN sessions.records IS 'Records stored, count';
COMMENT ON COLUMN sessions.batch IS 'Watermark: the number of the newest committed batch';
COMMENT ON COLUMN sessions.revision IS 'Changes other than batches (lifecycle, summary), count';
COMMENT ON COLUMN sessions.ended_at IS 'When the bridge reported the end of the run';
COMMENT ON COLUMN sessions.created_at IS 'Server time of the first batch';
COMMENT ON COLUMN sessions.updated_at IS 'Server time of the newest batch';
COMMENT ON COLUMN sessions.deleted_at IS 'Server time of the deletion; the records go soon after';

CREATE TABLE telemetry (
    time    timestamptz NOT NULL,
    session integer     NOT NULL,
    batch   integer     NOT NULL,
    ord     integer     NOT NULL,
    time_text text,
    session_name               text,
    speed_ms                   double precision,
    voltage_v                  double precision,
    current_a                  double precision,
    power_w                    double precision,
    avg_power_w                double precision,
    energy_j                   double precision,
    distance_m                 double precision,
    latitude                   double precision,
    longitude                  double precision,
    altitude_m                 double precision,
    gyro_x                     double precision,
    gyro_y                     double precision,
    gyro_z                     double precision,
    steering_gyro_x            double precision,
    steering_gyro_y            double precision,
    steering_gyro_z            double precision,
    accel_x                    double precision,
    accel_y                    double precision,
    accel_z                    double precision,
    steering_accel_x           double precision,
    steering_accel_y           double precision,
    steering_accel_z           double precision,
    total_acceleration         double precision,
    vehicle_heading            double precision,
    message_id                 bigint,
    uptime_seconds             double precision,
    throttle_pct               double precision,
    brake_pct                  double precision,
    brake2_pct                 double precision,
    throttle                   double precision,
    brake                      double precision,
    brake2                     double precision,
    motor_voltage_v            double precision,
    motor_current_a            double precision,
    vesc_voltage_v             double precision,
    vesc_current_a             double precision,
    motor_rpm                  double precision,
    motor_temp_c               double precision,
    motor_phase_1_current_a    double precision,
    motor_phase_2_current_a    double precision,
    motor_phase_3_current_a    double precision,
    motor_phase_current_a      double precision,
    data_source                text,
    outliers                   jsonb,
    outlier_severity           text,
    inst_eff_km_kwh            double precision,
    acc_eff_km_kwh             double precision,
    current_efficiency_km_kwh  double precision,
    cumulative_energy_kwh      double precision,
    route_distance_km          double precision,
    avg_speed_kmh              double precision,
    max_speed_kmh              double precision,
    avg_power                  double precision,
    avg_voltage                double precision,
    avg_current                double precision,
    max_power_w                double precision,
    max_current_a              double precision,
    optimal_speed_kmh          double precision,
    optimal_speed_ms           double precision,
    optimal_efficiency_km_kwh  double precision,
    optimal_speed_confidence   double precision,
    optimal_speed_data_points  bigint,
    optimal_speed_range        jsonb,
    motion_state               text,
    driver_mode                text,
    throttle_intensity         text,
    brake_intensity            text,
    current_g_force            double precision,
    max_g_force                double precision,
    accel_magnitude            double precision,
    avg_acceleration           double precision,
    elevation_gain_m           double precision,
    quality_score              double precision,
    extra   jsonb
);
SELECT create_hypertable('telemetry', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
CREATE INDEX telemetry_session_time ON telemetry (session, time);

COMMENT ON TABLE telemetry IS 'One row per sensor record; hypertable in chunks of one day. Rows of a deleted session may linger for a moment';
COMMENT ON COLUMN telemetry.time IS 'When the vehicle measured, UTC, microseconds';
COMMENT ON COLUMN telemetry.session IS 'The run: sessions.session';
COMMENT ON COLUMN telemetry.batch IS 'Which committed batch of its session brought the record: ingest_batches.batch';
COMMENT ON COLUMN telemetry.ord IS 'Place in the batch, from 0';
COMMENT ON COLUMN telemetry.time_text IS 'The timestamp as received, where it differs from the usual form 2026-03-21T21:41:10.272851+00:00';
COMMENT ON COLUMN telemetry.extra IS 'Members of the record that have no column of their own, as received';
COMMENT ON COLUMN telemetry.session_name IS 'Name the operator gave the run';
COMMENT ON COLUMN telemetry.speed_ms IS 'Ground speed, m/s';
COMMENT ON COLUMN telemetry.voltage_v IS 'Pack voltage, V';
COMMENT ON COLUMN telemetry.current_a IS 'Pack current; negative while regenerating, A';
COMMENT ON COLUMN telemetry.power_w IS 'Electrical power, W';
COMMENT ON COLUMN telemetry.avg_power_w IS 'Mean power over the firmware''s window, W';
COMMENT ON COLUMN telemetry.energy_j IS 'Energy used since the start, J';
COMMENT ON COLUMN telemetry.distance_m IS 'Distance since the start, m';
COMMENT ON COLUMN telemetry.latitude IS 'WGS84 latitude; 0 with longitude 0 means no fix, deg';
COMMENT ON COLUMN telemetry.longitude IS 'WGS84 longitude; 0 with latitude 0 means no fix, deg';
COMMENT ON COLUMN telemetry.altitude_m IS 'Height above sea level, m';
COMMENT ON COLUMN telemetry.gyro_x IS 'Roll rate, deg/s';
COMMENT ON COLUMN telemetry.gyro_y IS 'Pitch rate, deg/s';
COMMENT ON COLUMN telemetry.gyro_z IS 'Yaw rate, deg/s';
COMMENT ON COLUMN telemetry.steering_gyro_x IS 'Roll rate at the steering wheel, deg/s';
COMMENT ON COLUMN telemetry.steering_gyro_y IS 'Pitch rate at the steering wheel, deg/s';
COMMENT ON COLUMN telemetry.steering_gyro_z IS 'Yaw rate at the steering wheel, deg/s';
COMMENT ON COLUMN telemetry.accel_x IS 'Forward acceleration, m/s2';
COMMENT ON COLUMN telemetry.accel_y IS 'Lateral acceleration, m/s2';
COMMENT ON COLUMN telemetry.accel_z IS 'Vertical acceleration, gravity included, m/s2';
COMMENT ON COLUMN telemetry.steering_accel_x IS 'Forward acceleration at the steering wheel, m/s2';
COMMENT ON COLUMN telemetry.steering_accel_y IS 'Lateral acceleration at the steering wheel, m/s2';
COMMENT ON COLUMN telemetry.steering_accel_z IS 'Vertical acceleration at the steering wheel, m/s2';
COMMENT ON COLUMN telemetry.total_acceleration IS 'Magnitude of the acceleration vector, m/s2';
COMMENT ON COLUMN telemetry.vehicle_heading IS 'Heading, deg';
COMMENT ON COLUMN telemetry.message_id IS 'The vehicle''s message counter; restarts with the vehicle, 0 when unknown, count';
COMMENT ON COLUMN telemetry.uptime_seconds IS 'Time since the vehicle booted, s';
COMMENT ON COLUMN telemetry.throttle_pct IS 'Throttle position, 0 to 100, %';
COMMENT ON COLUMN telemetry.brake_pct IS 'Brake position, 0 to 100, %';
COMMENT ON COLUMN telemetry.brake2_pct IS 'Second brake''s position, 0 to 100, %';
COMMENT ON COLUMN telemetry.throttle IS 'Throttle position, 0 to 1, ratio';
COMMENT ON COLUMN telemetry.brake IS 'Brake position, 0 to 1, ratio';
COMMENT ON COLUMN telemetry.brake2 IS 'Second brake''s position, 0 to 1, ratio';
COMMENT ON COLUMN telemetry.motor_voltage_v IS 'Motor voltage; mirrors vesc_voltage_v, V';
COMMENT ON COLUMN telemetry.motor_current_a IS 'Motor current; mirrors vesc_current_a, A';
COMMENT ON COLUMN telemetry.vesc_voltage_v IS 'Motor controller''s input voltage, V';
COMMENT ON COLUMN telemetry.vesc_current_a IS 'Motor controller''s input current, A';
COMMENT ON COLUMN telemetry.motor_rpm IS 'Motor speed, rpm';
COMMENT ON COLUMN telemetry.motor_temp_c IS 'Motor temperature, degC';
COMMENT ON COLUMN telemetry.motor_phase_1_current_a IS 'Current of motor phase 1, A';
COMMENT ON COLUMN telemetry.motor_phase_2_current_a IS 'Current of motor phase 2, A';
COMMENT ON COLUMN telemetry.motor_phase_3_current_a IS 'Current of motor phase 3, A';
COMMENT ON COLUMN telemetry.motor_phase_current_a IS 'Mean of the phase currents sent, A';
COMMENT ON COLUMN telemetry.data_source IS 'Where the record came from, such as ESP32_LIVE or csv_import';
COMMENT ON COLUMN telemetry.outliers IS 'Which fields the bridge flagged, with confidence, reason and severity';
COMMENT ON COLUMN telemetry.outlier_severity IS 'Severity of the outliers: info, warning or critical';
COMMENT ON COLUMN telemetry.inst_eff_km_kwh IS 'Efficiency at this instant; negative while regenerating, km/kWh';
COMMENT ON COLUMN telemetry.acc_eff_km_kwh IS 'Efficiency since the start, km/kWh';
COMMENT ON COLUMN telemetry.current_efficiency_km_kwh IS 'Older bridges'' efficiency estimate, km/kWh';
COMMENT ON COLUMN telemetry.cumulative_energy_kwh IS 'Power integrated since the start, kWh';
COMMENT ON COLUMN telemetry.route_distance_km IS 'Length of the GPS path since the start, km';
COMMENT ON COLUMN telemetry.avg_speed_kmh IS 'Rolling mean of speed over 36 samples, km/h';
COMMENT ON COLUMN telemetry.max_speed_kmh IS 'Highest speed of the run so far, km/h';
COMMENT ON COLUMN telemetry.avg_power IS 'Rolling mean of power over 36 samples, W';
COMMENT ON COLUMN telemetry.avg_voltage IS 'Rolling mean of voltage over 36 samples, V';
COMMENT ON COLUMN telemetry.avg_current IS 'Rolling mean of current over 36 samples, A';
COMMENT ON COLUMN telemetry.max_power_w IS 'Highest power of the run so far, W';
COMMENT ON COLUMN telemetry.max_current_a IS 'Highest current of the run so far, A';
COMMENT ON COLUMN telemetry.optimal_speed_kmh IS 'Estimated best cruising speed, km/h';
COMMENT ON COLUMN telemetry.optimal_speed_ms IS 'Estimated best cruising speed, m/s';
COMMENT ON COLUMN telemetry.optimal_efficiency_km_kwh IS 'Efficiency at the best cruising speed, km/kWh';
COMMENT ON COLUMN telemetry.optimal_speed_confidence IS 'Confidence in the best cruising speed, 0 to 1, ratio';
COMMENT ON COLUMN telemetry.optimal_speed_data_points IS 'Samples behind the best cruising speed, count';
COMMENT ON COLUMN telemetry.optimal_speed_range IS 'Range around the best cruising speed, and its efficiency, km/h, km/kWh';
COMMENT ON COLUMN telemetry.motion_state IS 'stationary, cruising, accelerating, braking or turning';
COMMENT ON COLUMN telemetry.driver_mode IS 'eco, normal, aggressive, coasting or braking; older: accelerating, mixed';
COMMENT ON COLUMN telemetry.throttle_intensity IS 'idle, light, moderate or heavy; older: none';
COMMENT ON COLUMN telemetry.brake_intensity IS 'idle, light, moderate or heavy; older: none';
COMMENT ON COLUMN telemetry.current_g_force IS 'Planar acceleration, g';
COMMENT ON COLUMN telemetry.max_g_force IS 'Highest planar acceleration of the run so far, g';
COMMENT ON COLUMN telemetry.accel_magnitude IS 'Magnitude of horizontal acceleration, m/s2';
COMMENT ON COLUMN telemetry.avg_acceleration IS 'Rolling mean of horizontal acceleration, m/s2';
COMMENT ON COLUMN telemetry.elevation_gain_m IS 'Climb since the start; steps of 50 m or more ignored, m';
COMMENT ON COLUMN telemetry.quality_score IS 'Data quality, score';

CREATE TABLE ingest_batches (
    session         integer     NOT NULL,
    batch           integer     NOT NULL,
    digest          bytea       NOT NULL,
    idempotency_key text,
    min_time        timestamptz NOT NULL,
    max_time        timestamptz NOT NULL,
    records         integer     NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    source          text        NOT NULL,
    PRIMARY KEY (session, batch)
);
CREATE UNIQUE INDEX ingest_batches_digest ON ingest_batches (session, digest);
CREATE UNIQUE INDEX ingest_batches_key ON ingest_batches (session, idempotency_key) WHERE idempotency_key IS NOT NULL;

COMMENT ON TABLE ingest_batches IS 'The commit log: one row per batch and session, written with its records';
COMMENT ON COLUMN ingest_batches.session IS 'The run: sessions.session';
COMMENT ON COLUMN ingest_batches.batch IS 'Number of the batch in its session, from 1, without gaps';
COMMENT ON COLUMN ingest_batches.digest IS 'SHA-256 over the records in order; a batch that comes again is answered, not stored';
COMMENT ON COLUMN ingest_batches.idempotency_key IS 'The caller''s own name for the batch, where it gave one';
COMMENT ON COLUMN ingest_batches.min_time IS 'Time of the batch''s oldest record, UTC';
COMMENT ON COLUMN ingest_batches.max_time IS 'Time of the batch''s newest record, UTC';
COMMENT ON COLUMN ingest_batches.records IS 'Records of this session in the batch, count';
COMMENT ON COLUMN ingest_batches.received_at IS 'Server time when the batch was stored';
COMMENT ON COLUMN ingest_batches.source IS 'The way in: function, rest, import, simulate or convex';

CREATE TABLE live_session (
    singleton    boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    status       text        NOT NULL CHECK (status IN ('active', 'ended')),
    session_id   text        NOT NULL,
    session_name text,
    started_at   text        NOT NULL,
    ended_at     text,
    reason       text,
    record_count bigint      NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE live_session IS 'What the bridge last reported of the run on the road; one row at most';
COMMENT ON COLUMN live_session.singleton IS 'Always true: allows one row';
COMMENT ON COLUMN live_session.status IS 'active or ended';
COMMENT ON COLUMN live_session.session_id IS 'The id that clients use: sessions.id';
COMMENT ON COLUMN live_session.session_name IS 'Name the operator gave the run';
COMMENT ON COLUMN live_session.started_at IS 'Start as the bridge wrote it, ISO 8601';
COMMENT ON COLUMN live_session.ended_at IS 'End as the bridge wrote it, ISO 8601; only when ended';
COMMENT ON COLUMN live_session.reason IS 'Why it ended, such as user_interrupt; only when ended';
COMMENT ON COLUMN live_session.record_count IS 'Records that the bridge counted';
COMMENT ON COLUMN live_session.updated_at IS 'Server time of the report';

CREATE TABLE driver_notifications (
    notification bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id   text        NOT NULL,
    severity     text        NOT NULL CHECK (severity IN ('info', 'warn', 'critical')),
    title        text        NOT NULL,
    message      text        NOT NULL,
    category     text        CHECK (category IN ('efficiency', 'speed', 'style', 'system')),
    ttl          double precision,
    created_at   text        NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX driver_notifications_session ON driver_notifications (session_id, notification);
COMMENT ON TABLE driver_notifications IS 'Messages for the driver''s cockpit';
COMMENT ON COLUMN driver_notifications.notification IS 'Insertion order';
COMMENT ON COLUMN driver_notifications.session_id IS 'The run, by the id that clients use';
COMMENT ON COLUMN driver_notifications.severity IS 'info, warn or critical';
COMMENT ON COLUMN driver_notifications.title IS 'Headline';
COMMENT ON COLUMN driver_notifications.message IS 'Text';
COMMENT ON COLUMN driver_notifications.category IS 'efficiency, speed, style or system';
COMMENT ON COLUMN driver_notifications.ttl IS 'How long to show it, ms';
COMMENT ON COLUMN driver_notifications.created_at IS 'When the bridge made it, ISO 8601 as received';
COMMENT ON COLUMN driver_notifications.stored_at IS 'Server time when it was stored';
