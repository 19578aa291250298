# An application that is slow to read: asks PostgreSQL for answers of several sizes on a connection each, leaves
# them unread until a line arrives on standard input, then reads every byte. Prints one line of JSON per step.
# Arguments: port user database. Protocol 3.0, trust authentication.
import array
import fcntl
import json
import socket
import struct
import sys
import termios

port, user, database = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SIZES = [1, 100, 1_000, 100_000, 1_000_000, 4_000_000, 16_000_000]


def exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(1 << 20, count - len(data)))
        if not piece:
            raise EOFError("closed after %d of %d bytes" % (len(data), count))
        data += piece
    return bytes(data)


def message(sock):
    kind, length = struct.unpack("!cI", exactly(sock, 5))
    return kind, exactly(sock, length - 4)


def until_ready(sock):
    row = None
    while True:
        kind, body = message(sock)
        if kind == b"E":
            raise RuntimeError(body)
        if kind == b"D":
            row = body
        if kind == b"Z":
            return row


def query(sock, sql):
    body = sql.encode() + b"\0"
    sock.sendall(b"Q" + struct.pack("!I", len(body) + 4) + body)


def connect():
    sock = socket.create_connection(("127.0.0.1", port))
    startup = b"user\0" + user.encode() + b"\0database\0" + database.encode() + b"\0\0"
    sock.sendall(struct.pack("!II", len(startup) + 8, 196608) + startup)
    until_ready(sock)
    return sock


def available(sock):
    waiting = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, waiting)
    return waiting[0]


waiting = []
for size in SIZES:
    sock = connect()
    query(sock, "SELECT repeat('x', %d)" % size)
    waiting.append((size, sock))

# Peeking blocks until the first byte is there, and reads nothing.
for _, sock in waiting:
    sock.recv(1, socket.MSG_PEEK)
print(json.dumps({"step": "unread", "available": [available(sock) for _, sock in waiting]}), flush=True)

sys.stdin.readline()
lost = {}
for size, sock in waiting:
    sock.settimeout(30)
    try:
        row = until_ready(sock)
        got = len(row) - 6  # int16 column count, int32 length
        if got != size or row[6:] != b"x" * size:
            lost[size] = size - got
        query(sock, "SELECT 1")
        until_ready(sock)
    except Exception as error:
        lost[size] = repr(error)
print(json.dumps({"step": "read", "lost": lost}), flush=True)
