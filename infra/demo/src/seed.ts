// What the shop sells and to whom, for both databases. Everything here is invented.

/** Appears nowhere but in stored passwords: whoever sees it outside has read the table. */
export const SECRET_PREFIX = "hunter2-";

export const HONEST_CUSTOMER = { email: "mia@example.org", password: `${SECRET_PREFIX}mia` };
export const ADMIN_EMAIL = "admin@example.org";

const NAMES = ["Anvil", "Barrel", "Candle", "Drum", "Easel", "Flute", "Globe", "Hammer", "Inkwell", "Jug"];
const KINDS = ["small", "large", "copper", "oak", "glass", "iron", "blue", "folding", "antique", "spare"];
export const PRODUCT_NAMES = NAMES.flatMap(name => KINDS.map(kind => `${name}, ${kind}`));

const PEOPLE = ["admin", "mia", "noor", "luis", "sana", "tomas", "yuki", "zoe"];

const SCHEMA = {
  mariadb: `
    CREATE TABLE IF NOT EXISTS products (id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, price DECIMAL(8,2) NOT NULL);
    CREATE TABLE IF NOT EXISTS customers (id INT PRIMARY KEY, email VARCHAR(80) NOT NULL, password VARCHAR(80) NOT NULL, role VARCHAR(20) NOT NULL);
    CREATE TABLE IF NOT EXISTS cart_lines (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, product INT NOT NULL, quantity INT NOT NULL);
    TRUNCATE products; TRUNCATE customers; TRUNCATE cart_lines;`,
  postgresql: `
    CREATE TABLE IF NOT EXISTS products (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2) NOT NULL);
    CREATE TABLE IF NOT EXISTS customers (id int PRIMARY KEY, email text NOT NULL, password text NOT NULL, role text NOT NULL);
    CREATE TABLE IF NOT EXISTS cart_lines (id serial PRIMARY KEY, customer int NOT NULL, product int NOT NULL, quantity int NOT NULL);
    TRUNCATE products, customers, cart_lines;`,
};

/** Makes the tables if they are absent and fills them anew: after an attack the next start is clean. */
export function seedSql(dialect: "mariadb" | "postgresql"): string {
  const products = PRODUCT_NAMES.map(
    (name, index) => `(${index + 1}, '${name}', ${(3 + ((index * 37) % 90) + 0.5).toFixed(2)})`,
  );
  const customers = PEOPLE.map(
    (person, index) =>
      `(${index + 1}, '${person}@example.org', '${SECRET_PREFIX}${person}', '${index === 0 ? "admin" : "customer"}')`,
  );
  return `${SCHEMA[dialect]}
    INSERT INTO products (id, name, price) VALUES ${products.join(", ")};
    INSERT INTO customers (id, email, password, role) VALUES ${customers.join(", ")};`;
}
