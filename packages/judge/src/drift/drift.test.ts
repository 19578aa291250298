import { describe, expect, test } from "vitest";
import { compiled } from "../../test/support.ts";
import { toldEvidence } from "../evidence.ts";
import { judge } from "../judge.ts";
import { learn } from "../learn.ts";
import { defaultSession } from "../session.ts";
import { createProfile, loadProfile, type Profile } from "./profile.ts";

const core = compiled("");
const shop = { workload: "shop", databaseUser: "shop", database: "shop" };
const session = defaultSession("mysql");
type Learn = { vouched?: boolean; process?: string };

function teach(profile: Profile, sql: string, { vouched = false, process = "7@1" }: Learn = {}) {
  return learn(core, profile, { sql, dialect: "mysql", session }, { atMs: 1_000, vouched, process });
}

/** A template that was sent ten times with ten values. */
function taught(...templates: ((value: number) => string)[]): Profile {
  const profile = createProfile(shop);
  for (const template of templates) for (let i = 0; i < 10; i++) teach(profile, template(i));
  return profile;
}

const byName = (i: number) => `SELECT id, role FROM staff WHERE login = 'user${i}' AND site = ${i}`;
const byId = (i: number) => `SELECT name FROM items WHERE id = ${i} ORDER BY name LIMIT 10`;
const move = (i: number) => `UPDATE staff SET mail = 'a${i}@b' WHERE id = ${i}`;
const listed = (i: number) =>
  `SELECT a FROM t WHERE b IN (${Array.from({ length: i + 1 }, (_, n) => n + i).join(", ")})`;
const profile = taught(byName, byId, move, listed);

const judged = (sql: string, with_: Profile = profile) =>
  judge(core, { sql, dialect: "mysql", session }, { profile: with_ });

describe("a new statement beside what the workload has learned", () => {
  for (const [verdict, kind, sql] of [
    ["benign", "known", "SELECT id, role FROM staff WHERE login = 'o''hara' AND site = 3"],
    ["benign", "known", "SELECT a FROM t WHERE b IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)"],
    ["benign", "variant", "SELECT name FROM items WHERE id = -7 ORDER BY name LIMIT 10"],
    ["benign", "variant", "UPDATE staff SET mail = NULL WHERE id = 3"],
    ["benign", "new", "SELECT total FROM orders WHERE customer = 3"],
    ["benign", "new", "SELECT name FROM items WHERE id = 3 ORDER BY price LIMIT 10"],
    ["attack", "splice", "SELECT name FROM items WHERE id = id ORDER BY name LIMIT 10"],
    ["attack", "splice", "SELECT id, role FROM staff WHERE login = 'x' OR role = 'admin' AND site = 3"],
    [
      "attack",
      "splice",
      "SELECT name FROM items WHERE id = (SELECT cost FROM prices) ORDER BY name LIMIT 10",
    ],
    ["attack", "splice", "UPDATE staff SET mail = 'x', role = 'admin' WHERE id = 3"],
    ["attack", "splice", "SELECT a FROM t WHERE b IN (1, 2, 3) AND (c = 4)"],
    ["attack", "splice", "SELECT id, role FROM staff WHERE login = 'admin' /* AND site = 3"],
    ["attack", "splice", "SELECT name FROM items WHERE id = 3 ORDER BY name OR 1 LIMIT 10"],
  ] as const)
    test(`${verdict}, ${kind}: ${sql}`, () => {
      const { verdict: found, drift } = judged(sql);
      expect([found, drift?.kind]).toEqual([verdict, kind]);
    });

  test("an array may hold any number of values, and what is more than a value is a splice", () => {
    const priced = (i: number) =>
      `SELECT a FROM t WHERE b = ANY (ARRAY[${Array.from({ length: (i % 5) + 1 }, (_, n) => n + i).join(", ")}])`;
    const statement = (sql: string) => ({ sql, dialect: "pg", session: defaultSession("pg") }) as const;
    const learned = createProfile(shop);
    for (let i = 0; i < 10; i++)
      learn(core, learned, statement(priced(i)), { atMs: 1_000, vouched: false, process: "7@1" });
    const found = (sql: string) => judge(core, statement(sql), { profile: learned });
    expect(found("SELECT a FROM t WHERE b = ANY (ARRAY[1, 2, 3, 4, 5, 6, -7, 8])").verdict).toBe("benign");
    expect(found("SELECT a FROM t WHERE b = ANY (ARRAY[4 -0])")).toMatchObject({ verdict: "attack" });
  });

  test("a splice shows the tokens that were put in, and the template", () => {
    const sql = "SELECT id, role FROM staff WHERE login = 'x' OR role = 'admin' AND site = 3";
    const { drift, evidence, rules } = judged(sql);
    if (drift?.kind !== "splice") throw new Error("no splice");
    expect(drift.inserted.join(" ")).toBe("? or role = ?");
    expect(sql.slice(...drift.span)).toBe("'x' OR role = 'admin'");
    expect(drift.template.words.join(" ")).toBe("select id , role from staff where login = ? and site = ?");
    expect(evidence[0]).toEqual({ rule: "drift-splice", stage: "drift", span: drift.span });
    expect(rules[0]).toBe("drift-splice");
  });

  test("a detection is told the same places in its redacted text, and no literal", () => {
    const statement = {
      sql: "SELECT id,  role FROM staff WHERE login = 'geheim' OR role = 'admin' AND site = 3",
      dialect: "mysql",
      session,
    } as const;
    const judgement = judge(core, statement, { profile });
    const [told] = toldEvidence(statement, judgement);
    expect(judgement.redacted.slice(told!.start, told!.end)).toBe("? OR role = ?");
    expect(told!.template!.slice(...told!.replaced!)).toBe("?");
    expect(told!.template!.slice(0, told!.replaced![0])).toBe("select id , role from staff where login = ");
    expect(JSON.stringify(told)).not.toMatch(/geheim|admin/);
  });

  test("a splice into a template that was hardly used is told and no attack: a query builder makes them", () => {
    const once = createProfile(shop);
    teach(once, byName(1));
    expect(judged(`${byName(2)} AND active = 1`, once)).toMatchObject({ verdict: "probe", action: "alert" });
  });

  test("on a locked profile any splice is an attack, and any other new statement is told", () => {
    const locked = createProfile(shop);
    teach(locked, byName(1));
    locked.locked = true;
    expect(judged(`${byName(2)} AND active = 1`, locked).verdict).toBe("attack");
    expect(judged("SELECT 1", locked)).toMatchObject({
      verdict: "probe",
      action: "alert",
      rules: ["drift-new"],
    });
  });

  test("only an enforcing profile asks to block, and never without a signal", () => {
    const enforcing = taught(byName, byId);
    const spliced = "SELECT name FROM items WHERE id = id ORDER BY name LIMIT 10";
    const oddly = "SELECT name FROM items WHERE id = (SELECT cost FROM prices) ORDER BY name LIMIT 10";
    expect(judged(oddly, enforcing).action).toBe("alert");
    enforcing.mode = "enforce";
    expect(judged(oddly, enforcing).action).toBe("block");
    expect(judged(spliced, enforcing).action).toBe("alert");
  });
});

describe("what stands where a template has a name", () => {
  const columns = ["id", "name", "price", "max(price)"].map(
    column => () => `SELECT ${column} FROM items WHERE visible = 1`,
  );
  const tables = ["items", "staff", "carts"].map(table => () => `SELECT count(*) FROM ${table}`);
  const named = taught(...columns, ...tables);
  for (const [verdict, sql] of [
    ["benign", "SELECT id, price, size FROM items WHERE visible = 1"],
    ["probe", "SELECT avg(price) * 100 FROM items WHERE visible = 1"],
    ["attack", "SELECT (SELECT pin FROM staff LIMIT 1) FROM items WHERE visible = 1"],
    ["attack", "SELECT version() FROM items WHERE visible = 1"],
    ["attack", "SELECT id OR 1 FROM items WHERE visible = 1"],
    ["attack", "SELECT pin FROM staff -- FROM items WHERE visible = 1"],
    ["benign", "SELECT count(*) FROM orders"],
    ["benign", "SELECT count(*) FROM staff WHERE active = 1"],
    ["attack", "SELECT count(*) FROM staff WHERE 1 = 1"],
    ["attack", "SELECT count(*) FROM staff WHERE current_user = 'root'"],
    ["benign", "SELECT count(*) FROM information_schema.tables"],
    ["attack", "SELECT count(*) FROM information_schema.tables WHERE table_schema LIKE 'a%'"],
    ["attack", "SELECT count(*) FROM staff, information_schema.tables"],
    ["benign", "SELECT count(*) FROM information_schema.statistics WHERE table_schema = 'a'"],
    ["benign", "SELECT count(*) FROM (SELECT a FROM b) c"],
    ["attack", "SELECT count(*) FROM (SELECT (SELECT pin FROM staff LIMIT 1) a) b"],
    ["attack", "SELECT count(*) FROM (SELECT char(97, 100) a) b"],
    ["attack", "SELECT count(*) FROM staff x, (SELECT (SELECT pin FROM staff LIMIT 1) a) b"],
    ["benign", "SELECT count(*) FROM staff x, (SELECT a FROM b) y"],
    ["attack", "SELECT count(*) FROM carts NATURAL JOIN staff"],
    ["benign", "SELECT count(*) FROM `old staff`"],
    ["attack", "SELECT count(*) FROM staff `a`` or 1=1--`"],
    ["benign", "SELECT id, `unit price` FROM items WHERE visible = 1"],
    ["attack", "SELECT id ` ` FROM items WHERE visible = 1"],
    ["attack", "SELECT 8-1 FROM items WHERE visible = 1"],
    [
      "attack",
      "SELECT items.id, (CASE WHEN char(97) LIKE char(98) THEN 1 ELSE 2 END) FROM items WHERE visible = 1",
    ],
    [
      "probe",
      "SELECT id, (CASE WHEN upper(items.name) = 'B' THEN 1 ELSE 2 END) FROM items WHERE visible = 1",
    ],
    ["attack", "SELECT name % 'a' % '' FROM items WHERE visible = 1"],
    ["probe", "SELECT price * 2 FROM items WHERE visible = 1"],
  ] as const)
    test(`${verdict}: ${sql}`, () => expect(judged(sql, named).verdict).toBe(verdict));

  test("a comment that hides just what a template ends with proves that something was put before it", () => {
    const { drift } = judged("SELECT pin FROM staff -- x FROM items WHERE visible = 1", named);
    if (drift?.kind !== "splice") throw new Error("no splice");
    expect(drift.signals[0]).toBe("swallowed-rest");
  });
});

describe("what stands in a table's place", () => {
  const counts = (...tables: string[]) => {
    const counted = taught(
      ...tables.map(
        table => (i: number) => `SELECT page, sum(n) FROM ${table} WHERE day >= '${i}' GROUP BY page`,
      ),
    );
    counted.mode = "enforce";
    return counted;
  };
  const asked = (table: string) => `SELECT page, sum(n) FROM ${table} WHERE day >= 'x' GROUP BY page`;
  const byYear = counts("visits_2024", "visits_2025");
  const named = counts("visits", "orders");
  for (const [verdict, what, profile, sql] of [
    [
      "attack",
      "a derived table where a program puts a number into the name",
      byYear,
      asked("(SELECT pin AS page, 1 AS n, 'x' AS day FROM staff) x"),
    ],
    ["attack", "a join there", byYear, asked("visits_2025 v JOIN staff s ON v.n = s.n")],
    ["benign", "another number", byYear, asked("visits_2026")],
    [
      "benign",
      "a derived table where the code names one of several",
      named,
      asked("(SELECT page, n, day FROM visits_2025) x"),
    ],
  ] as const)
    test(`${verdict}: ${what}`, () => expect(judged(sql, profile).verdict).toBe(verdict));
  test("attack: what a schema's table ends with is commented away", () => {
    const tenants = taught(
      ...["rooms", "events", "cards", "parcels"].map(
        table => (i: number) => `SELECT count(*) FROM \`app\`.\`${table}\` WHERE id > ${i}`,
      ),
    );
    tenants.mode = "enforce";
    const { verdict, drift } = judged(
      "SELECT count(*) FROM `app`.`cards` HAVING count(*) > 3 -- ` WHERE id > 7",
      tenants,
    );
    expect(verdict).toBe("attack");
    expect(drift).toMatchObject({ kind: "splice", signals: expect.arrayContaining(["swallowed-rest"]) });
  });
});

test("a place is an input's where other tables are asked the same, and tokens there tell", () => {
  const boxes = createProfile(shop);
  for (const [i, box] of ["mail", "draft", "archive", "mail", "draft", "archive"].entries())
    teach(boxes, `SELECT count(*) FROM ${box} WHERE owner = ${i}`);
  boxes.mode = "enforce";
  expect(judged("SELECT count(*) FROM mail WHERE owner = (SELECT id FROM members)", boxes).verdict).toBe(
    "attack",
  );
  // Without a signal it may be the next release's.
  expect(judged("SELECT count(*) FROM mail WHERE owner = 4 AND unread = 1", boxes).verdict).toBe("probe");
});

test("a place is an input's where templates that differ in listed columns alone show it together", () => {
  const sorted = createProfile(shop);
  for (const [i, order] of ["id", "name", "price DESC", "size"].entries())
    for (const value of [i, i + 10]) teach(sorted, `SELECT a FROM t WHERE b = ${value} ORDER BY ${order}`);
  const spliced = "SELECT a FROM t WHERE b = b ORDER BY size";
  expect(judged(spliced, sorted).verdict).toBe("attack");
  const fixed = createProfile(shop);
  for (const order of ["id", "name", "price DESC", "size"])
    for (let i = 0; i < 2; i++) teach(fixed, `SELECT a FROM t WHERE b = 7 ORDER BY ${order}`);
  expect(judged(spliced, fixed).verdict).toBe("probe");
  for (const { shapes } of sorted.export().templates) sorted.revoke(shapes[0]!);
  expect(judged(spliced, sorted).drift?.kind).toBe("new");
});

test("a list of the same calls of other columns is the application's, of other calls is told", () => {
  const means = taught(
    i => `SELECT day, round(avg(price), 2) AS mean FROM sales WHERE shop = ${i} GROUP BY day`,
  );
  const verdict = (list: string) =>
    judged(`SELECT ${list} FROM sales WHERE shop = 3 GROUP BY day`, means).verdict;
  expect(verdict("day, round(avg(tax), 2) AS mean")).toBe("benign");
  expect(verdict("hour, round(avg(tax), 2) AS mean")).toBe("benign");
  expect(verdict("day, round(max(price), 2) AS mean")).toBe("probe");
  expect(verdict("day, round(avg(`a`` or 1=1--`), 2) AS mean")).toBe("attack");
});

describe("a tracer's tags before or after a statement", () => {
  const tags = "/*traceparent='00-5b1c0f-9a-01',route='%2Fstaff'*/";
  const sorted = taught(
    i => `SELECT id, mail FROM staff WHERE site = ${i} ORDER BY mail LIMIT 10`,
    i => `SELECT id, mail FROM staff WHERE site = ${i} ORDER BY id DESC LIMIT 10`,
  );
  for (const [verdict, kind, sql] of [
    ["benign", "variant", `SELECT id, mail FROM staff WHERE site = 3 ORDER BY mail LIMIT 10 ${tags}`],
    [
      "benign",
      "variant",
      `${tags} SELECT id, mail FROM staff WHERE site = 3 ORDER BY mail LIMIT 10; ${tags}`,
    ],
    ["benign", "new", `SELECT id, mail FROM staff WHERE site = 3 ORDER BY mail DESC LIMIT 10 ${tags}`],
    [
      "attack",
      "splice",
      `SELECT id, mail FROM staff WHERE site = 3 OR role = 'x' ORDER BY mail LIMIT 10 ${tags}`,
    ],
    ["benign", "variant", `SELECT id, mail FROM staff WHERE site = 3 ORDER BY mail LIMIT 10${tags}`],
    [
      "benign",
      "variant",
      "-- the site's people\nSELECT id, mail FROM staff WHERE site = 3 ORDER BY mail LIMIT 10",
    ],
    // Tags may hide what the template ends with.
    ["attack", "splice", `SELECT id, mail FROM staff WHERE site = 3 OR role = 'x' ${tags}`],
    ["attack", "splice", `SELECT id, mail FROM staff WHERE site = 3 OR role = 'x'${tags}`],
    ["attack", "splice", `SELECT id, mail FROM staff WHERE site = 3 OR pin < 4 /* ORDER */`],
    ["attack", "splice", "SELECT id, mail FROM staff WHERE site = 3/**/OR/**/role ORDER BY mail LIMIT 10"],
  ] as const)
    test(`${verdict}, ${kind}: ${sql}`, () => {
      const { verdict: found, drift } = judged(sql, sorted);
      expect([found, drift?.kind]).toEqual([verdict, kind]);
    });
});

describe("one input that goes into several places of a template", () => {
  const search = (i: number) =>
    `SELECT id FROM mail WHERE owner = ${i} AND (subject LIKE '%a${i}%' OR sender LIKE '%a${i}%') ORDER BY id`;
  const searching = taught(
    search,
    ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
  );
  searching.mode = "enforce";
  const pasted = (one: string, other = one) =>
    `SELECT id FROM mail WHERE owner = 3 AND (subject LIKE '%${one}%' OR sender LIKE '%${other}%') ORDER BY id`;
  for (const [verdict, kind, sql] of [
    ["attack", "splice", pasted("x' OR secret LIKE 'a")],
    ["attack", "splice", pasted("x' AND substring(version(), 1, 1) = '8")],
    ["attack", "new", pasted("x' AND user() LIKE 'a", "y' AND 'c' = 'c")],
    ["benign", "new", pasted("x' AND f LIKE 'a", "y' AND g LIKE 'c")],
    ["benign", "known", pasted("x'' OR secret LIKE ''a")],
    [
      "benign",
      "new",
      "SELECT id FROM mail WHERE owner = 3 AND (subject LIKE f(1) OR sender LIKE g) ORDER BY h",
    ],
  ] as const)
    test(`${verdict}, ${kind}: ${sql}`, () => {
      const { verdict: found, drift } = judged(sql, searching);
      expect([found, drift?.kind]).toEqual([verdict, kind]);
    });
});

describe("one filter more, or another order: what a query builder adds", () => {
  const parts = taught(
    i => `SELECT id, name FROM part WHERE maker = ${i}`,
    i => `SELECT id, name FROM part WHERE maker = ${i} AND kind = ${i} ORDER BY name LIMIT 10`,
    i => `SELECT stock FROM part p WHERE p.stock > ${i} ORDER BY stock`,
    i => `SELECT pin FROM staff WHERE login = ${i}`,
  );
  parts.mode = "enforce";
  for (const [verdict, action, added] of [
    ["benign", "observe", "AND kind = 4"],
    ["benign", "observe", "AND stock > 4"],
    ["benign", "observe", "AND stock > 4 AND kind = 'x' ORDER BY stock"],
    ["benign", "observe", "ORDER BY name LIMIT 10"],
    ["probe", "alert", "AND kind = 4 ORDER BY id DESC LIMIT 5 OFFSET 10"],
    // Nobody filters parts by it: told, as any filter that is new.
    ["attack", "alert", "AND pin LIKE 'a%'"],
    ["attack", "alert", "AND stock LIKE 'a%' ORDER BY id"],
    ["attack", "alert", "ORDER BY pin LIMIT 5"],
    ["attack", "block", "ORDER BY 7"],
    ["attack", "block", "OR kind = 4"],
    ["attack", "block", "AND kind = 4 OR kind = 5 ORDER BY name"],
    ["attack", "block", "AND kind = (SELECT pin FROM staff LIMIT 1) ORDER BY name"],
    ["attack", "block", "AND 1 = 1 ORDER BY name"],
  ] as const)
    test(`${verdict}, ${action}: ${added}`, () =>
      expect(judged(`SELECT id, name FROM part WHERE maker = 3 ${added}`, parts)).toMatchObject({
        verdict,
        action,
      }));

  test("filters are learned wherever a statement has them: before a grouping, beside a subquery", () => {
    const reports = taught(
      i => `SELECT maker, sum(stock) FROM part WHERE maker = ${i} GROUP BY maker HAVING sum(stock) > ${i}`,
      i => `SELECT maker FROM part WHERE maker = ${i} AND kind IN (${i}) GROUP BY maker`,
      i =>
        `SELECT id, (SELECT count(*) FROM sale WHERE sale.part = part.id) AS sold FROM part WHERE maker = ${i} AND size < ${i}`,
    );
    const grown = (added: string) =>
      judged(
        `SELECT maker, sum(stock) FROM part WHERE maker = 3 ${added} GROUP BY maker HAVING sum(stock) > 3`,
        reports,
      ).verdict;
    expect(grown("AND kind IN (4, 5)")).toBe("benign");
    expect(grown("AND size < 4")).toBe("benign");
    // Of another table.
    expect(grown("AND part = 4")).toBe("attack");
  });

  test("a filter between two lists is one filter more, whichever of the equal brackets is whose", () => {
    const lists = taught(
      i => `SELECT id, name FROM part WHERE maker IN (${i}, 7) AND lang = ${i} ORDER BY name`,
      i => `SELECT id FROM part WHERE kind IN (${i}) AND maker = ${i}`,
    );
    const verdict = (added: string) =>
      judged(`SELECT id, name FROM part WHERE maker IN (3, 4)${added} AND lang = 3 ORDER BY name`, lists)
        .verdict;
    expect(verdict(" AND kind IN (5, 6)")).toBe("benign");
    expect(verdict(" AND pin IN (5, 6)")).toBe("attack");
    expect(verdict(" OR kind IN (5, 6)")).toBe("attack");
  });

  test("is unknown again with the template that held it", () => {
    const fewer = taught(
      i => `SELECT id, name FROM part WHERE maker = ${i}`,
      i => `SELECT id FROM part WHERE kind = ${i}`,
    );
    const grown = "SELECT id, name FROM part WHERE maker = 3 AND kind = 4";
    expect(judged(grown, fewer).verdict).toBe("benign");
    fewer.revoke(judged("SELECT id FROM part WHERE kind = 2", fewer).shapeSha256!);
    expect(judged(grown, fewer).verdict).toBe("attack");
  });
});

test("several values of one column are a value", () => {
  expect(judged("SELECT a FROM t WHERE b IN (1, 2)").verdict).toBe("benign");
  const byOwner = taught(i => `SELECT a FROM t WHERE owner = ${i}`);
  expect(judged("SELECT a FROM t WHERE owner = 1 OR owner = 2 OR owner = now()", byOwner).verdict).toBe(
    "benign",
  );
  expect(judged("SELECT a FROM t WHERE owner = 1 OR kind = 2", byOwner).verdict).toBe("attack");
});

describe("one rule alone, in a statement that does not begin like anything learned", () => {
  const many = taught(
    ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
  );
  const odd = "SELECT x, y FROM z WHERE v = 3 AND @@version = 3";
  const grafted = "SELECT c7 FROM t7 WHERE d = 3 AND @@version = 3";
  test("is an attack while the profile learns", () => expect(judged(odd, many).verdict).toBe("attack"));
  test("is told and not blocked once it has learned; what was pasted into a template is blocked", () => {
    const settled = taught(
      ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
    );
    settled.mode = "enforce";
    expect(judged(odd, settled)).toMatchObject({ verdict: "probe", action: "alert", stage: "drift" });
    expect(judged(grafted, settled).verdict).toBe("attack");
  });
  test("is an attack where a comment hides how a template ends that reads no table", () => {
    const settled = taught(
      i => `SELECT price_of(${i}, 'x${i}') AS price`,
      ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
    );
    settled.mode = "enforce";
    const { verdict, drift } = judged("SELECT price_of(3); DROP TABLE t9; -- ', 'half') AS price", settled);
    expect(verdict).toBe("attack");
    expect(drift).toMatchObject({ kind: "splice", signals: expect.arrayContaining(["swallowed-rest"]) });
  });
  test("is an attack where several rules, a critical one or a tautology speak", () => {
    const settled = taught(
      ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
    );
    settled.mode = "enforce";
    expect(judged("SELECT x, y FROM z WHERE v = 3 AND sleep(3)", settled).verdict).toBe("attack");
    expect(judged("SELECT x, y FROM z WHERE v = 3 OR 1 = 1", settled).verdict).toBe("attack");
    expect(judged("SELECT x FROM z WHERE v = 3 OR 1 = 1 -- ' AND w = 2", settled).verdict).toBe("attack");
    expect(
      judged("SELECT x FROM z WHERE v = 3 OR (f(version(), 3) > 0) -- ' AND w = 2", settled).verdict,
    ).toBe("attack");
  });
  const settledWith = (...vouched: string[]) => {
    const settled = taught(
      ...Array.from({ length: 40 }, (_, n) => (i: number) => `SELECT c${n} FROM t${n} WHERE d = ${i}`),
    );
    for (const sql of vouched) teach(settled, sql, { vouched: true });
    settled.mode = "enforce";
    return settled;
  };
  const constants = ["a", "b", "c"].map(column => `SELECT ${column} FROM r WHERE s = 1 AND 1 = 1`);
  const reports = ["a", "b", "c"].map(column => `SELECT ${column} FROM r; SELECT s FROM u WHERE v = 4`);
  const tautology = "UPDATE z SET x = 3 WHERE v IN (3) AND 2 = 2";
  const batch = "SELECT x, y FROM z WHERE v = 3; DROP TABLE w";
  const sorted = ["SELECT p FROM q WHERE r = 3 ORDER BY p"];
  for (const [verdict, what, vouched, sql] of [
    [
      "attack",
      "in a statement with a template's end",
      sorted,
      "SELECT p FROM q WHERE r = 3 AND s = @@version ORDER BY p",
    ],
    ["probe", "of a kind that three vouched templates hold", constants, tautology],
    ["attack", "of a kind that two vouched templates hold", constants.slice(1), tautology],
    ["probe", "that more statements follow, where the workload sends such", reports, batch],
    ["attack", "that more statements follow, where two templates do", reports.slice(1), batch],
    ["attack", "of another kind than those that were vouched for", constants, batch],
    ["attack", "of that kind, pasted into a template", constants, "SELECT c7 FROM t7 WHERE d = 3 AND 2 = 2"],
    [
      "attack",
      "of that kind, and the rest cut off",
      constants,
      "SELECT c7 FROM t7 WHERE d = 3 OR 2 = 2 -- x'",
    ],
    [
      "attack",
      "of that kind, before a text that never ends",
      constants,
      "SELECT c7 FROM t7 WHERE d = 3 OR 2 = 2 OR d = '",
    ],
    // It begins as a template does and goes on otherwise, with nothing hidden: nobody pasted it.
    [
      "probe",
      "in a statement with an end of its own",
      sorted,
      "SELECT p FROM q WHERE r = 3 AND s = @@version AND t IN (u)",
    ],
    [
      "probe",
      "and another that says the same of the same place",
      [],
      "SELECT x FROM z WHERE y 'x' | point 'y'",
    ],
  ] as const)
    test(`${verdict}: ${what}: ${sql}`, () =>
      expect(judged(sql, settledWith(...vouched)).verdict).toBe(verdict));

  test("a habit is forgotten with the templates that held it", () => {
    const settled = settledWith(...constants);
    const [first] = settled.export().templates.filter(({ rules }) => rules.length > 0);
    settled.revoke(first!.shapes[0]!);
    expect(judged(tautology, settled).verdict).toBe("attack");
  });

  test("is an attack for a profile that knows next to nothing", () => {
    const empty = createProfile(shop, { mode: "enforce" });
    expect(judged(odd, empty).verdict).toBe("attack");
  });
});

describe("what a profile learns", () => {
  test("never silently: a statement that a rule finds odd, or a form that is never known", () => {
    const strict = createProfile(shop);
    for (const [sql, because] of [
      ["SELECT a FROM t WHERE b = 1 OR 1=1", "attack"],
      ["SELECT a FROM t WHERE b = 'x", "never-known"],
    ] as const)
      expect(teach(strict, sql)).toEqual({ ok: false, error: because });
    expect(strict.refused).toMatchObject({ attack: 1, "never-known": 1 });
    expect(strict.templates.size).toBe(0);
  });

  test("what a person vouches for, with the rules that it meets; it is benign from then on", () => {
    const vouched = createProfile(shop);
    const report = "SELECT a FROM t WHERE b = 1 AND 1=1";
    expect(judged(report, vouched).verdict).toBe("attack");
    expect(teach(vouched, report, { vouched: true }).ok).toBe(true);
    expect(judged(report, vouched)).toMatchObject({ verdict: "benign", stage: "drift" });
  });

  test("a rule that speaks only now is heard, though the shape is known", () => {
    const sums = taught(i => `SELECT a FROM t WHERE b = ${i} - 1 AND c = 2`);
    expect(judged("SELECT a FROM t WHERE b = 5 - 1 AND c = 2", sums).verdict).toBe("benign");
    expect(judged("SELECT a FROM t WHERE b = 'x' - '' AND c = 2", sums).verdict).toBe("attack");
  });

  test("at most as many templates as it has room for, and it says how many it refused", () => {
    const small = createProfile(shop, { templatesMax: 2 });
    for (const column of ["a", "b", "c", "d"]) teach(small, `SELECT ${column} FROM t`);
    expect([small.templates.size, small.refused.full]).toEqual([2, 2]);
  });

  test("nothing in the modes alert and enforce", () => {
    const frozen = createProfile(shop, { mode: "alert" });
    expect(teach(frozen, "SELECT a FROM t")).toEqual({ ok: false, error: "not-learning" });
  });

  test("a revoked template is unknown again, and nothing is compared with it", () => {
    const shrinking = taught(byName);
    const { shapeSha256 } = judged(byName(3), shrinking);
    expect(shrinking.revoke(shapeSha256!)).toBe(true);
    expect(judged(byName(3), shrinking).drift).toMatchObject({ kind: "new" });
    expect(judged("SELECT id, role FROM staff WHERE login = id AND site = 3", shrinking).drift).toMatchObject(
      {
        kind: "new",
      },
    );
  });

  test("an exported profile holds no value and judges the same when it is loaded", () => {
    const text = JSON.stringify(profile.export());
    expect(text).not.toMatch(/user3|a3@b/);
    const loaded = loadProfile(JSON.parse(text));
    if (!loaded.ok) throw new Error(loaded.error);
    for (const sql of [byName(3), "SELECT name FROM items WHERE id = id ORDER BY name LIMIT 10"])
      expect(judged(sql, loaded.value).verdict).toBe(judged(sql).verdict);
    expect(loaded.value.export()).toEqual(profile.export());
  });

  test("a broken export is an error that names the place", () => {
    const broken = { ...profile.export(), templates: [{ words: 3 }] };
    expect(loadProfile(broken)).toMatchObject({ ok: false, error: expect.stringContaining("templates.0") });
  });
});

describe("whatever the statement, comparing it ends", () => {
  test("many templates that it may be made from", () => {
    const alike = createProfile(shop);
    for (let n = 0; n < 300; n++)
      teach(alike, `INSERT INTO t (a) VALUES (${"1,".repeat(60)}c${n}, ${"2,".repeat(60)}3)`);
    const sql = `INSERT INTO t (a) VALUES (${"f(1),".repeat(800)}f(2))`;
    expect(["benign", "probe"]).toContain(judged(sql, alike).verdict);
  });

  for (const [name, sql] of [
    ["100,000 brackets", `SELECT a FROM t WHERE b = ${"(".repeat(100_000)}`],
    ["50,000 items", `SELECT a FROM t WHERE b IN (${"1,".repeat(50_000)}1)`],
    ["20,000 names", `SELECT ${"a,".repeat(20_000)}a FROM t WHERE b = 1`],
    ["10,000 rows", `INSERT INTO t VALUES ${"(1,2),".repeat(10_000)}(1,2)`],
  ] as const)
    test(name, () => expect(["benign", "probe", "attack"]).toContain(judged(sql).verdict));
});
