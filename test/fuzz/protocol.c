// SPDX-License-Identifier: Apache-2.0
// Fuzzes what reads a connection in the kernel, the same C compiled for user space: the slot program (framing, logins,
// query attributes, statements, holding, denying) over what a client sends, and the session decoders (answer.h) over
// what a server answers. Each input is a head and a list of records, sends of the client and segments of the server,
// which are played twice: whole, and the client's cut and laid out in memory as the head says, with helpers that fail,
// a send buffer that is nearly full, and a keeper that takes its time. Beside not reading a byte beyond what is in
// hand these hold, whatever the bytes are:
//   - all that was sent leaves, in order, whether held or not; nothing overtakes what is held;
//   - the result does not depend on where sends are cut: as many statements, of the same kinds, and each fingerprint
//     the same or "never known"; what is known of the session is the same, or less;
//   - every run lets go of at least one byte and of no more than are there, or ends the connection.
// A translation unit of vmlinux.h: no header of the C library goes with it.
#include "../../packages/bpf/src/maps.h"

#include "../../packages/bpf/src/answer.h"
#include "../../packages/bpf/src/connection.h"
#include "../../packages/bpf/src/frame.h"
#include "../../packages/bpf/src/hold.h"
#include "../../packages/bpf/src/postgresql.h"
#include "../../packages/bpf/src/replace.h"
#include "../../packages/bpf/src/report.h"
#include "../../packages/bpf/src/setting.h"
#include "../../packages/bpf/src/text.h"
#include "../../packages/bpf/src/workload.h"

#define const // the settings are written before each input
#include "../../packages/bpf/src/slot.bpf.c"
#undef const

void *malloc(unsigned long);
void *realloc(void *, unsigned long);
void free(void *);
void abort(void);
int dprintf(int, const char *, ...);
void *mmap(void *, unsigned long, int, int, int, long);

#define HOLDS(claim)                                                                                         \
	do {                                                                                                 \
		if (!(claim)) {                                                                              \
			dprintf(2, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim);                \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

enum { OPTIONS_BYTES = 8, STREAM_MAX = 1 << 17, STATEMENTS_MAX = 4096 };

/* How a play goes, from the head. The first one of each input is plain: no option set. */
struct options {
	__u32 cuts;    /* seed of where sends are cut; 0: nowhere */
	__u32 memory;  /* seed of what is directly readable; 0: all */
	__u32 failing; /* one helper in so many fails; 0: none */
	__u32 room;    /* of the send buffer; 0: plenty */
	__u8 hold;     /* 0: not; else the keeper gives back each so many runs */
	__u8 known;    /* 0: no shape; 1: some are benign; 2: and some hostile */
	__u8 adopted;
	__u8 closed; /* on_failure */
};

struct told {
	__u64 fingerprint;
	__u32 bytes;
	__u8 message;
	__u8 session;
};

/* What one play left. */
struct play {
	struct options is;
	struct connection c;
	__u32 random;
	__u64 clock;
	struct told told[STATEMENTS_MAX];
	__u32 statements;
	__u64 sent, left, with_keeper; /* bytes of the client's stream */
	__u8 killed, replaced, resynced;
};

static struct play plays[2], *now;
static struct tcp_sock tcp;
static struct bpf_sock sk_handle;
static struct picket_slot_counters counters_value;
static struct picket_keeper keeper_value;
static struct picket_hold hold_value;
static struct picket_responses responses_value;
static __u64 loss_values[LOSS_KINDS], seq_value;
static struct picket_verdict_entry benign = { .verdict = VERDICT_BENIGN }, hostile = {
	.verdict = VERDICT_ATTACK,
	.action = ACTION_BLOCK,
	.rule = 3,
};
static struct picket_rule_text rule_value = { .bytes = 9, .text = "sqli-fuzz" };

/* The client's stream, to compare with what leaves. */
static __u8 stream[STREAM_MAX];
static __u32 stream_bytes;

static __u32 draw(__u32 below)
{
	__u32 x = now->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	now->random = x;
	return below ? x % below : 0;
}

static bool fails(void)
{
	return now->is.failing && !draw(now->is.failing);
}

/* The message at hand: all of it, and the part that the program may read, which lies apart so that nothing beyond is. */
static struct {
	struct sk_msg_md md;
	__u8 *at;
	__u32 bytes, room;
	__u8 *part;
	__u32 part_at, part_bytes;
	__u32 apply;
	bool applied, redirected;
} m;

static void put_part_back(void)
{
	if (m.part)
		__builtin_memcpy(m.at + m.part_at, m.part, m.part_bytes);
	free(m.part);
	m.part = 0;
}

static void lay_out(__u32 at, __u32 bytes)
{
	put_part_back();
	m.part = malloc(bytes ?: 1);
	m.part_at = at;
	m.part_bytes = bytes;
	__builtin_memcpy(m.part, m.at + at, bytes);
	m.md.data = m.part;
	m.md.data_end = m.part + bytes;
	m.md.size = m.bytes;
}

static void lay_out_anew(void)
{
	lay_out(0, now->is.memory && draw(2) ? draw(m.bytes + 1) : m.bytes);
}

static long bpf_msg_pull_data(struct sk_msg_md *msg, __u32 from, __u32 to, __u64 flags)
{
	if (from >= to || to > m.bytes)
		return -22;
	if (fails())
		return -12;
	lay_out(from, to - from);
	return 0;
}

static long bpf_msg_push_data(struct sk_msg_md *msg, __u32 at, __u32 bytes, __u64 flags)
{
	HOLDS(at <= m.bytes);
	if (fails())
		return -12;
	put_part_back();
	m.at = realloc(m.at, m.bytes + bytes);
	__builtin_memmove(m.at + at + bytes, m.at + at, m.bytes - at);
	__builtin_memset(m.at + at, 0xa5, bytes);
	m.bytes += bytes;
	lay_out_anew();
	return 0;
}

static long bpf_msg_pop_data(struct sk_msg_md *msg, __u32 at, __u32 bytes, __u64 flags)
{
	HOLDS(at + bytes <= m.bytes);
	if (fails())
		return -12;
	put_part_back();
	__builtin_memmove(m.at + at, m.at + at + bytes, m.bytes - at - bytes);
	m.bytes -= bytes;
	lay_out_anew();
	return 0;
}

static long bpf_msg_apply_bytes(struct sk_msg_md *msg, __u32 bytes)
{
	m.apply = bytes;
	m.applied = true;
	return 0;
}

static long bpf_msg_redirect_hash(struct sk_msg_md *msg, void *map, void *key, __u64 flags)
{
	HOLDS(map == &judges && flags == BPF_F_INGRESS);
	m.redirected = !fails();
	return m.redirected ? SK_PASS : SK_DROP;
}

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	__u64 fingerprint;

	if (map == &losses)
		return &loss_values[*(const __u32 *)key];
	if (map == &slot_counters)
		return &counters_value;
	if (map == &event_seq)
		return &seq_value;
	if (map == &keeper)
		return &keeper_value;
	if (map == &holds)
		return &hold_value;
	if (map == &responses)
		return &responses_value;
	if (map == &rule_texts)
		return *(const __u32 *)key == 3 ? &rule_value : 0;
	if (map != &verdicts)
		return 0;
	__builtin_memcpy(&fingerprint, key, sizeof(fingerprint));
	switch (fingerprint >> 60) {
	case 1 ... 5:
		return now->is.known ? &benign : 0;
	case 6 ... 8:
		return now->is.known > 1 ? &hostile : 0;
	}
	return 0;
}

static long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	return fails() ? -12 : 0;
}

static __u64 bpf_ktime_get_ns(void)
{
	keeper_value.heartbeat_ns = now->clock += 1000;
	return now->clock;
}

/* A tick is four reads of the clock, so that statements come within one and after several. */
static __u64 bpf_jiffies64(void) { return now->clock >> 12; }

static __u32 bpf_get_smp_processor_id(void) { return 0; }
static __u64 bpf_get_current_pid_tgid(void) { return 7ull << 32 | 7; }
static __u64 bpf_get_current_ancestor_cgroup_id(int level) { return 0; }
static void *bpf_sk_storage_get(void *map, void *sk, void *value, __u64 flags) { return &now->c; }
static struct tcp_sock *bpf_skc_to_tcp_sock(void *sk) { return &tcp; }
static struct bpf_sock *bpf_sk_fullsock(struct bpf_sock *sk) { return sk; }

static void *bpf_ringbuf_reserve(void *map, __u64 bytes, __u64 flags)
{
	return malloc(bytes);
}

static void bpf_ringbuf_discard(void *record, __u64 flags) { free(record); }

static void note(__u64 number, __u64 fingerprint, __u32 bytes, __u8 message, __u8 session)
{
	HOLDS(number);
	if (number <= STATEMENTS_MAX)
		now->told[number - 1] = (struct told){ fingerprint, bytes, message, session };
}

static void bpf_ringbuf_submit(void *record, __u64 flags)
{
	struct picket_event_header *h = record;
	struct picket_statement_event *e = record;

	HOLDS(h->abi == PICKET_ABI && h->kind >= EVENT_STATEMENT && h->kind <= EVENT_LOGIN);
	if (h->kind == EVENT_STATEMENT) {
		HOLDS(h->size == sizeof(*e) + e->text_bytes && e->text_bytes <= PICKET_TEXT_MAX);
		if (e->last)
			note(e->statement, e->fingerprint, e->statement_bytes, e->message, e->session);
	} else if (h->kind == EVENT_LOGIN) {
		struct picket_login_event *l = record;

		HOLDS(l->user.bytes < sizeof(l->user.text) && l->database.bytes < sizeof(l->database.text));
	}
	free(record);
}

/* Of the kernel's own memory only what bounds TCP's is asked for: there is plenty. */
static long bpf_probe_read_kernel(void *to, __u32 bytes, const void *from)
{
	if ((unsigned long)from < 4096)
		__builtin_memset(to, bytes == sizeof(long) && from ? 0x7f : 0, bytes);
	else
		__builtin_memcpy(to, from, bytes);
	return 0;
}

/* The kernel reads on behind what is in hand; what lies there is nobody's. */
static long bpf_probe_read_kernel_str(void *to, __u32 bytes, const void *from)
{
	const __u8 *in = from, *end = m.part + m.part_bytes;
	__u8 *out = to;

	for (__u32 i = 0; i + 1 < bytes; i++) {
		out[i] = in + i < end ? in[i] : 'A';
		if (!out[i])
			return i + 1;
	}
	out[bytes - 1] = 0;
	return bytes;
}

static __u8 *segment;
static __u32 segment_bytes;
/* Packet pointers of a context are 32 bits wide, which the kernel rewrites: the headers lie low in memory. */
static __u8 *low;

static long bpf_skb_load_bytes(const void *skb, __u32 at, void *to, __u32 bytes)
{
	if (!bytes || at > segment_bytes || bytes > segment_bytes - at)
		return -14;
	__builtin_memcpy(to, segment + at, bytes);
	return 0;
}

/* What the keeper has goes back, in order: one record, or all of them. */
static void give_back(bool all)
{
	if (!now->with_keeper || (!all && (!now->is.hold || draw(now->is.hold))))
		return;
	tcp.write_seq += now->with_keeper;
	now->left += now->with_keeper;
	hold_value.released += now->with_keeper;
	now->with_keeper = 0;
	keeper_value.settled = keeper_value.diverted;
}

/* What the dispatcher does before a slot is asked: connections that were given up pass, behind what is held. */
static int dispatch_message(struct sk_msg_md *msg)
{
	struct connection *c = &now->c;

	if (c->frame.protocol < PROTOCOL_TLS)
		return slot(msg);
	c->hold.flags = 0;
	if (may_follow(c) && must_follow(c, held_of(c)))
		return divert(msg, c, msg->size) ? SK_DROP : SK_PASS;
	bpf_msg_apply_bytes(msg, msg->size);
	return SK_PASS;
}

/* One send of the application, as the kernel's sk_msg code walks it. False: the connection is dead. */
static bool send(const __u8 *at, __u32 bytes)
{
	m.room = m.bytes = bytes;
	m.at = malloc(bytes ?: 1);
	__builtin_memcpy(m.at, at, bytes);
	while (m.bytes) {
		__u32 before = m.bytes, gone;

		give_back(false);
		__u64 held_before = now->c.redirected;

		if (now->is.room)
			((struct sock *)&tcp)->sk_sndbuf = draw(now->is.room);
		m.applied = m.redirected = false;
		m.md.sk = &sk_handle;
		lay_out_anew();
		int verdict = dispatch_message(&m.md);

		put_part_back();
		HOLDS(now->c.frame.header_bytes <= FIRST_BYTES_MAX);
		now->resynced |= now->c.frame.resynced;
		if (verdict == SK_DROP) {
			now->killed = 1;
			free(m.at);
			return false;
		}
		if (verdict != SK_PASS || !m.applied || !m.apply || m.apply > m.bytes)
			dprintf(2, "verdict %d, %u of %u bytes\n", verdict, m.applied ? m.apply : 0, m.bytes);
		HOLDS(verdict == SK_PASS && m.applied && m.apply && m.apply <= m.bytes);
		gone = m.apply;
		if (now->c.redirected != held_before) {
			struct picket_held h;

			HOLDS(m.redirected && gone >= sizeof(h));
			__builtin_memcpy(&h, m.at, sizeof(h));
			HOLDS(h.magic == keeper_value.magic && h.offset == held_before && h.bytes == gone - sizeof(h));
			HOLDS(h.sql_at <= h.bytes && h.sql_bytes <= h.bytes - h.sql_at && h.frame_bytes <= h.bytes);
			HOLDS(h.flags & HELD_REPLACED || !__builtin_memcmp(m.at + sizeof(h), stream + now->left + now->with_keeper, h.bytes) ||
			      now->replaced);
			if (h.flags & HELD_JUDGE)
				note(h.statement, h.fingerprint, h.statement_bytes, h.message, h.session);
			now->replaced |= h.flags & HELD_REPLACED;
			now->with_keeper += h.bytes;
		} else {
			/* Nothing overtakes what is held, and no message that was redirected once leaves directly. */
			HOLDS(!now->with_keeper && !m.redirected);
			now->replaced |= counters_value.blocked != 0;
			HOLDS(now->replaced || !__builtin_memcmp(m.at, stream + now->left, gone));
			now->left += gone;
			tcp.write_seq += gone;
		}
		m.bytes -= gone;
		__builtin_memmove(m.at, m.at + gone, m.bytes);
		HOLDS(m.bytes < before || now->replaced);
	}
	free(m.at);
	return true;
}

static bool send_cut(const __u8 *at, __u32 bytes)
{
	while (bytes) {
		__u32 n = !now->is.cuts ? bytes : 1 + draw(draw(2) ? 8 : bytes);

		n = n < bytes ? n : bytes;
		if (!send(at, n))
			return false;
		at += n;
		bytes -= n;
	}
	return true;
}

#define SEGMENT_MAX 1400

/* A segment of the server: IPv4, TCP, payload. */
static void hear_segment(const __u8 *at, __u32 bytes)
{
	struct iphdr ip = { .version = 4, .ihl = 5, .protocol = IPPROTO_TCP };
	struct tcphdr header = { .doff = 5, .seq = bpf_htonl(tcp.rcv_nxt) };
	struct __sk_buff skb = { .sk = &sk_handle };

	segment_bytes = sizeof(ip) + sizeof(header) + bytes;
	segment = malloc(segment_bytes);
	__builtin_memcpy(segment, &ip, sizeof(ip));
	__builtin_memcpy(segment + sizeof(ip), &header, sizeof(header));
	__builtin_memcpy(segment + sizeof(ip) + sizeof(header), at, bytes);
	skb.len = segment_bytes;
	if (!low)
		low = mmap(0, 4096, 3 /* read, write */, 0x62 /* private, anonymous, 32 bits */, -1, 0);
	__builtin_memcpy(low, segment, sizeof(ip) + sizeof(header));
	skb.data = (__u32)(unsigned long)low;
	skb.data_end = skb.data + sizeof(ip) + sizeof(header);
	hear(&skb);
	free(segment);
	segment = 0;
	tcp.rcv_nxt += bytes;
}

static void run(struct play *p, const struct options *is, const __u8 *data, __u32 bytes)
{
	now = p;
	__builtin_memset(p, 0, sizeof(*p));
	__builtin_memset(&hold_value, 0, sizeof(hold_value));
	__builtin_memset(&counters_value, 0, sizeof(counters_value));
	__builtin_memset(&tcp, 0, sizeof(tcp));
	p->is = *is;
	p->clock = 5000000000ull;
	p->random = is->cuts ^ is->memory << 8 ^ 0x9e3779b9;
	keeper_value = (struct picket_keeper){ .bytes_max = 1 << 30, .judges = 4, .magic = 0xfeedface };
	settings = (struct picket_slot_settings){
		.hash_key = 0x9e3779b97f4a7c15ull,
		.hash_start = 77,
		.version = 1,
		.text_bytes_max = 1 << 20,
		.never_known_burst = ~0u,
		.hold_bytes_max = is->hold ? 1 << 22 : 0,
		.hold_burst = ~0u,
		.compare_mask = 3,
		.on_failure = is->closed ? FAIL_CLOSED : FAIL_OPEN,
	};
	struct sock *sk = (struct sock *)&tcp;

	sk->sk_sndbuf = 1 << 30;
	sk->sk_write_queue.prev = (void *)&sk->sk_write_queue;
	tcp.mss_cache = 1448;
	tcp.write_seq = 1000;
	tcp.rcv_nxt = 5000;
	p->c.cookie = 42;
	p->c.mode = WORKLOAD_ENFORCE;
	p->c.enrolled = 1;
	p->c.frame.expected = tcp.write_seq;
	if (is->adopted) {
		p->c.adopted = p->c.frame.resynced = 1;
		p->c.frame.phase = PHASE_RESYNC;
	}
	begin_watch(&p->c, &tcp);
	stream_bytes = 0;
	while (bytes >= 3) {
		static const __u16 repeats[] = { 16, 64, 300 };
		__u32 times = data[0] >> 4 < 13 ? 1 : repeats[(data[0] >> 4) - 13];
		__u32 n = (data[2] << 8 | data[1]) & 2047;
		bool server = data[0] & 1;

		data += 3;
		bytes -= 3;
		n = n < bytes ? n : bytes;
		if (server) {
			for (__u32 at = 0; at < n; at += SEGMENT_MAX)
				hear_segment(data + at, n - at < SEGMENT_MAX ? n - at : SEGMENT_MAX);
		} else {
			__u32 from = stream_bytes;

			for (; times && stream_bytes + n <= STREAM_MAX; times--) {
				__builtin_memcpy(stream + stream_bytes, data, n);
				stream_bytes += n;
			}
			if (!send_cut(stream + from, stream_bytes - from))
				break;
		}
		data += n;
		bytes -= n;
	}
	give_back(true);
	p->statements = p->c.statements;
	HOLDS(p->killed || p->replaced || p->left == stream_bytes);
}

/* Two readings of the session: nothing that both claim to know differs. */
static bool agree(__u8 one, __u8 other)
{
	static const struct {
		__u8 known, value;
	} kinds[] = {
		{ SQL_SESSION_ESCAPES_KNOWN, SQL_SESSION_NO_BACKSLASH },
		{ SQL_SESSION_QUOTES_KNOWN, SQL_SESSION_ANSI_QUOTES },
		{ SQL_SESSION_CHARSET_KNOWN, SQL_SESSION_CHARSET_UNSAFE },
	};

	for (int i = 0; i < 3; i++)
		if (one & other & kinds[i].known && (one ^ other) & kinds[i].value)
			return false;
	return true;
}

static bool between(const struct frame *f)
{
	return f->phase < PHASE_PRELUDE || !f->remaining;
}

int LLVMFuzzerTestOneInput(const __u8 *data, unsigned long bytes)
{
	if (bytes < OPTIONS_BYTES)
		return -1;
	struct options plain = { .adopted = (data[4] & 15) == 9, .known = data[4] >> 4 < 4 ? 0 : data[4] >> 4 < 10 ? 1 : 2 };
	struct options cut = plain;
	const struct play *a = &plays[0], *b = &plays[1];

	cut.cuts = data[0] | 1;
	cut.memory = data[1];
	cut.failing = data[2] >> 4 == 15 ? 4 + (data[2] & 15) * 4 : 0;
	cut.room = data[2] >> 4 == 14 ? 1 << (data[2] & 15) : 0;
	cut.hold = data[3] & 1 ? 1 + (data[3] >> 4) : 0;
	cut.closed = data[3] >> 1 & 1;
	run(&plays[0], &plain, data + OPTIONS_BYTES, bytes - OPTIONS_BYTES);
	run(&plays[1], &cut, data + OPTIONS_BYTES, bytes - OPTIONS_BYTES);
	if (plain.adopted || a->killed || b->killed || a->replaced || b->replaced || b->resynced || cut.failing)
		return 0;
	HOLDS(a->c.frame.protocol == b->c.frame.protocol && between(&a->c.frame) == between(&b->c.frame));
	HOLDS(between(&a->c.frame) || a->c.frame.remaining == b->c.frame.remaining);
	HOLDS(a->statements == b->statements);
	for (__u32 i = 0; i < a->statements && i < STATEMENTS_MAX && !plain.known; i++) {
		const struct told *x = &a->told[i], *y = &b->told[i];

		/* One whose text is given up ends at once, where the other may still be under way. */
		bool last = i + 1 == a->statements && !between(&a->c.frame);

		HOLDS(x->message == y->message || last);
		HOLDS(x->fingerprint == y->fingerprint || !x->fingerprint || !y->fingerprint);
		HOLDS(agree(x->session, y->session));
	}
	HOLDS(agree(session_now(&a->c), session_now(&b->c)));
	return 0;
}
