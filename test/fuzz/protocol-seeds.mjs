// Conversations that the protocol fuzzer begins with (protocol.c): options, then sends of the client and segments of
// the server. SQL is the fingerprint corpus; the rest is what servers and drivers say around it.

const CLIENT = 0;
const SERVER = 1;

function record(who, bytes) {
  return Buffer.concat([Buffer.from([who, bytes.length & 255, bytes.length >> 8]), bytes]);
}
const text = value => Buffer.from(value, "latin1");
const nul = value => text(`${value}\0`);

function packet(sequence, ...parts) {
  const payload = Buffer.concat(
    parts.map(part => (typeof part === "string" ? text(part) : Buffer.from(part))),
  );
  return Buffer.concat([
    Buffer.from([payload.length & 255, (payload.length >> 8) & 255, payload.length >> 16, sequence]),
    payload,
  ]);
}
const u32 = value => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
function message(type, ...parts) {
  const body = Buffer.concat(parts.map(part => (typeof part === "string" ? text(part) : Buffer.from(part))));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([text(type), length, body]);
}

const CAPABILITIES = 0x00aaa28d | 8 | (1 << 9) | (1 << 15) | (1 << 16) | (1 << 21);
const ATTRIBUTES = 1 << 27;

function mysqlLogin(capabilities, collation = 45) {
  return packet(
    1,
    u32(capabilities),
    u32(1 << 24),
    [collation],
    Buffer.alloc(23),
    nul("shop"),
    [4],
    "abcd",
    nul("orders"),
    nul("mysql_native_password"),
  );
}
const greeting = version =>
  packet(
    0,
    [10],
    nul(version),
    u32(9),
    nul("saltsalt"),
    [0xff, 0xf7, 45, 2, 0, 0xff, 0x81, 21],
    Buffer.alloc(10),
    nul("morepepper00"),
  );
const okPacket = (sequence, status) => packet(sequence, [0, 0, 0, status & 255, status >> 8, 0, 0]);
const eof = (sequence, status) => packet(sequence, [0xfe, 0, 0, status & 255, status >> 8]);
const errPacket = packet(1, [0xff, 0x28, 0x04], "#42000You have an error");
const rows = status =>
  Buffer.concat([
    packet(1, [1]),
    packet(2, [3], "def", Buffer.alloc(20)),
    eof(3, status),
    packet(4, [1], "7"),
    packet(5, [2], "ab"),
    eof(6, status),
  ]);

function mysqlConversations(statements) {
  const opened = (version, capabilities, collation) => [
    record(SERVER, greeting(version)),
    record(CLIENT, mysqlLogin(capabilities, collation)),
    record(SERVER, okPacket(2, 2)),
  ];
  const query = sql => record(CLIENT, packet(0, [3], sql));
  const maria = opened("5.5.5-10.11.6-MariaDB-0+deb12u1", CAPABILITIES);
  const mysql = opened("8.4.2-0ubuntu0.24.04.1-and-some-more-letters", CAPABILITIES | ATTRIBUTES);
  const all = statements.map(sql => [...maria, query(sql), record(SERVER, rows(2)), query(sql)]);
  return [
    ...all,
    [...mysql, record(CLIENT, packet(0, [3, 0, 1], "select 1 from t")), record(SERVER, rows(2))],
    [
      ...mysql,
      record(
        CLIENT,
        packet(
          0,
          [3, 3, 1, 0b100, 1],
          [8, 0, 1],
          "a",
          [253, 0, 2],
          "bc",
          [6, 0, 0],
          Buffer.alloc(8, 1),
          [3],
          "xyz",
          "select 2",
        ),
      ),
    ],
    // Found: a value of attributes that the send cuts was taken to be there, and more was let go than had come.
    [
      ...opened("10.11.6-MariaDB-and-thirty-letters-more-of-it", CAPABILITIES | ATTRIBUTES),
      record(
        CLIENT,
        packet(0, [3, 1, 1, 0, 1, 253, 0, 0, 200], Buffer.alloc(200, 118), "select cut").subarray(0, 100),
      ),
    ],
    [
      ...maria,
      record(CLIENT, packet(0, [0x16], "select ? from t where a = 'x'")),
      record(SERVER, okPacket(1, 0)),
      record(CLIENT, packet(0, [0x17], u32(1), [0], u32(1))),
    ],
    [
      ...maria,
      query("set names gbk"),
      record(SERVER, okPacket(1, 2)),
      query("select '\xbf\\' or 1=1"),
      record(SERVER, errPacket),
    ],
    [
      ...maria,
      query("set sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES'"),
      record(SERVER, okPacket(1, 0x8202)),
      query('select "a\\" from t'),
      record(SERVER, rows(0x8202)),
    ],
    [
      ...maria,
      query("load data local infile 'x' into table t"),
      record(SERVER, packet(1, [0xfb], "x")),
      record(CLIENT, Buffer.concat([packet(2, "a,b\n\x03select"), packet(3, "")])),
      record(SERVER, okPacket(4, 2)),
      query("select 5"),
    ],
    [
      ...maria,
      record(CLIENT, packet(0, [0x11], nul("other"), [0], nul("db"))),
      record(SERVER, okPacket(1, 2)),
      query("select 6"),
    ],
    [
      ...maria,
      record(CLIENT, packet(0, [0x1f])),
      record(SERVER, okPacket(1, 2)),
      record(CLIENT, Buffer.concat([packet(0, [3], "select 7"), packet(0, [3], "select 8"), packet(0, [1])])),
    ],
    [
      ...opened("10.11.6-MariaDB-and-thirty-letters-more-of-it", CAPABILITIES, 28),
      query("select 1; select 2"),
      record(SERVER, Buffer.concat([okPacket(1, 10), okPacket(2, 2)])),
    ],
    [record(CLIENT, packet(1, u32(CAPABILITIES | (1 << 11)), u32(0), [45], Buffer.alloc(23)))],
    [record(CLIENT, mysqlLogin(CAPABILITIES | (1 << 5)))],
    [record(CLIENT, packet(0, [3], "select adopted from t")), record(SERVER, rows(2)), query("select again")],
  ];
}

function postgresqlConversations(statements) {
  const parameters = Buffer.concat([nul("user"), nul("shop"), nul("database"), nul("orders"), nul("")]);
  const startup = (() => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + parameters.length);
    head.writeUInt32BE(3 << 16, 4);
    return Buffer.concat([head, parameters]);
  })();
  const request = code => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(8);
    bytes.writeUInt32BE(code, 4);
    return bytes;
  };
  const ready = (state = "I") => message("Z", state);
  const status = (name, value) => message("S", nul(name), nul(value));
  const welcome = (conforming = "on", encoding = "UTF8") =>
    Buffer.concat([
      message("R", Buffer.alloc(4)),
      status("client_encoding", encoding),
      status("standard_conforming_strings", conforming),
      message("K", Buffer.alloc(8)),
      ready(),
    ]);
  const answer = Buffer.concat([
    message("T", Buffer.alloc(24)),
    message("D", Buffer.alloc(20)),
    message("C", nul("SELECT 1")),
    ready(),
  ]);
  const opened = [record(CLIENT, startup), record(SERVER, welcome())];
  const query = sql => record(CLIENT, message("Q", nul(sql)));
  const turn = (name, sql) =>
    record(
      CLIENT,
      Buffer.concat([
        message("P", nul(name), nul(sql), [0, 0]),
        message("B", nul(""), nul(name), Buffer.alloc(6)),
        message("D", "P", nul("")),
        message("E", nul(""), Buffer.alloc(4)),
        message("S"),
      ]),
    );
  return [
    ...statements.flatMap(sql => [
      [...opened, query(sql), record(SERVER, answer), query(sql)],
      [...opened, turn("", sql), record(SERVER, answer), turn("st", sql)],
    ]),
    [record(CLIENT, request(80877103)), record(SERVER, text("N")), ...opened, query("select 1")],
    [
      record(CLIENT, request(80877104)),
      record(SERVER, text("N")),
      record(CLIENT, request(80877103)),
      record(SERVER, text("N")),
      ...opened,
    ],
    [
      record(CLIENT, request(80877103)),
      record(SERVER, text("S")),
      record(CLIENT, Buffer.from([22, 3, 1, 2, 0])),
    ],
    [
      record(CLIENT, startup),
      record(SERVER, welcome("off", "SJIS")),
      query("select '\\'' || E'\\''"),
      record(SERVER, answer),
    ],
    [
      ...opened,
      query("set standard_conforming_strings = off"),
      record(
        SERVER,
        Buffer.concat([message("C", nul("SET")), status("standard_conforming_strings", "off"), ready()]),
      ),
      query("select 'a\\'"),
    ],
    [
      ...opened,
      query("begin; set client_encoding = 'GBK'"),
      record(SERVER, Buffer.concat([message("C", nul("SET")), status("client_encoding", "GBK"), ready("T")])),
      query("rollback"),
      record(
        SERVER,
        Buffer.concat([message("C", nul("ROLLBACK")), status("client_encoding", "UTF8"), ready()]),
      ),
    ],
    [
      ...opened,
      query("copy t from stdin"),
      record(SERVER, message("G", [0, 0, 0])),
      record(CLIENT, Buffer.concat([message("d", "a\tb\n"), message("c")])),
      record(SERVER, answer),
      query("select 9"),
    ],
    [...opened, record(CLIENT, message("F", Buffer.alloc(14))), record(SERVER, answer)],
    [...opened, query("selec"), record(SERVER, Buffer.concat([message("E", nul("SERROR"), [0]), ready()]))],
    [query("select adopted"), record(SERVER, answer), turn("", "select again")],
  ];
}

/** One option of each kind, and all at once. */
const OPTIONS = [
  [0, 0, 0, 0, 0, 0, 0, 0],
  [7, 3, 0, 0, 0, 0, 0, 0],
  [9, 5, 0, 0x31, 0, 0, 0, 0],
  [11, 5, 0xe9, 0x01, 0x50, 0, 0, 0],
  [13, 7, 0xf8, 0x13, 0xa0, 0, 0, 0],
  [1, 1, 0, 0, 9, 0, 0, 0],
];

/** @param statements by dialect */
export function protocolSeeds({ mysql, pg }) {
  return [...mysqlConversations(mysql), ...postgresqlConversations(pg)].map((records, i) =>
    Buffer.concat([Buffer.from(OPTIONS[i % OPTIONS.length]), ...records]),
  );
}
