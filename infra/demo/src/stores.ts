import mysql from "mysql2/promise";
import pg from "pg";

// The shop's two databases behind one shape. `query` sends the text as it is (COM_QUERY, simple query);
// `prepared` sends values apart from it (COM_STMT_PREPARE, Parse): the way it should always be done.

export type Row = Record<string, unknown>;

export type Store = {
  query(sql: string): Promise<Row[]>;
  prepared(sql: string, values: (string | number)[]): Promise<Row[]>;
  close(): Promise<void>;
};

export type StoreName = "mariadb" | "postgresql";

const CONNECTIONS = 2;

export function openStores(env: { MARIADB_URL: string; POSTGRESQL_URL: string }): Record<StoreName, Store> {
  return { mariadb: openMariaDB(env.MARIADB_URL), postgresql: openPostgreSQL(env.POSTGRESQL_URL) };
}

function openMariaDB(uri: string): Store {
  // multipleStatements is what makes stacked statements possible: one more fault that real shops have.
  const pool = mysql.createPool({
    uri,
    connectionLimit: CONNECTIONS,
    multipleStatements: true,
    decimalNumbers: true,
  });
  const rowsOf = (result: unknown): Row[] => {
    const rows = Array.isArray(result) ? result.flat() : [];
    return rows.filter(
      (row): row is Row => typeof row === "object" && row !== null && !("affectedRows" in row),
    );
  };
  return {
    query: async sql => rowsOf((await pool.query(sql))[0]),
    prepared: async (sql, values) => rowsOf((await pool.execute(sql, values))[0]),
    close: () => pool.end(),
  };
}

function openPostgreSQL(connectionString: string): Store {
  const pool = new pg.Pool({ connectionString, max: CONNECTIONS, idleTimeoutMillis: 0 });
  pool.on("error", () => undefined); // A server that stops first is not this process's failure.
  return {
    query: async sql => {
      const result: unknown = await pool.query(sql); // Several statements give several results.
      return (Array.isArray(result) ? result : [result]).flatMap((one: pg.QueryResult<Row>) => one.rows);
    },
    prepared: async (sql, values) => (await pool.query<Row>(numbered(sql), values)).rows,
    close: () => pool.end(),
  };
}

/** Written once with MySQL's `?`, which PostgreSQL calls $1, $2, … */
function numbered(sql: string): string {
  let count = 0;
  return sql.replaceAll("?", () => `$${++count}`);
}
