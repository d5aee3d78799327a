DROP TABLE auth_secrets;
DROP TABLE auth_audit;
DROP TABLE auth_addresses;
DROP TABLE auth_attempts;
DROP TABLE deploy_keys;
DROP TABLE auth_sessions;
DROP TABLE users;
