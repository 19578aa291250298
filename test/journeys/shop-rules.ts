/** The tables and the rule set that the journeys share. */
export const DATABASE = "picket_journeys";

const tables = (key: string, text: string) => `
CREATE TABLE picket_users (id INT PRIMARY KEY, name VARCHAR(100));
CREATE TABLE picket_secrets (id INT PRIMARY KEY, secret VARCHAR(100));
CREATE TABLE picket_journal (id ${key}, note ${text});
INSERT INTO picket_users VALUES (1, 'alice'), (2, 'bob');
INSERT INTO picket_secrets VALUES (1, 'hunter2');
`;

/** For `exec` of the harness, which runs as the administrator. */
export const SCHEMA = {
  mysql: `USE ${DATABASE};
    ${tables("INT AUTO_INCREMENT PRIMARY KEY", "LONGTEXT")}
    CREATE USER raw@'%' IDENTIFIED BY '';
    GRANT ALL ON ${DATABASE}.* TO raw@'%';`,
  pg: `\\c ${DATABASE}
    SET ROLE picket;
    ${tables("INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "TEXT")}`,
};

/** Blocks one UNION shape, in each form that a driver gives it. */
export const SHOP_RULES = `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: journeys
spec:
  core: false
  shapes:
    - id: union-secrets
      action: block
      sql: SELECT id, name FROM picket_users WHERE id = 1 UNION SELECT id, secret FROM picket_secrets
    - id: union-secrets-mysql
      action: block
      dialects: [mysql]
      sql: SELECT id, name FROM picket_users WHERE id = ? UNION SELECT id, secret FROM picket_secrets
    - id: union-secrets-pg
      action: block
      dialects: [pg]
      sql: SELECT id, name FROM picket_users WHERE id = $1 UNION SELECT id, secret FROM picket_secrets
`;
