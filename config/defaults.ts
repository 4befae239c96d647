/** What holds where the file says nothing. Each value says why it is that one. */
import type { Prefix } from './address.ts';
import { parsePrefix } from './address.ts';

/** Loopback: without a token nobody else should ask the admin endpoint. 9900 is below the ephemeral ports and not registered. */
export const ADMIN_LISTEN_DEFAULT = '127.0.0.1:9900';

/** Beside the file that most people start from, so that a first run needs no permission. */
export const STATE_FOLDER_DEFAULT = './state';

/** About a million flow records: a day of a busy node, and little enough for any disk. */
export const JOURNAL_SIZE_BYTES_DEFAULT = 256 * 1024 * 1024;

/** A sixteenth of the journal, so that removing the oldest segment loses little. */
export const JOURNAL_SEGMENT_BYTES_DEFAULT = 16 * 1024 * 1024;

/** Starts, applies and refusals, but nothing that grows with traffic. */
export const LOG_LEVEL_DEFAULT = 'info';

/** Names and addresses of servers are nobody's business outside; the receipt leads whoever may know to them. */
export const ANSWERS_DEFAULT = 'brief';

/** At 16 KiB each for an idle flow this is 1.6 GB, and needs a limit of about 200,000 open files. */
export const CONNECTIONS_DEFAULT = 100_000;

/** Loopback only: any guess at somebody's networks would open a lane that nobody asked for. */
export const LANE_DEFAULT_TEXTS = ['127.0.0.0/8', '::1/128'] as const;

/** The prefixes of LANE_DEFAULT_TEXTS. */
export const LANE_DEFAULT: readonly Prefix[] = LANE_DEFAULT_TEXTS.map((text) => parsePrefix(text)!);

/** Addresses that no other machine can reach: 127.0.0.0/8 (RFC 1122 §3.2.1.3) and ::1 (RFC 4291 §2.5.3). */
export const LOOPBACK: readonly Prefix[] = LANE_DEFAULT;

/** Fair without knowing anything of the servers. */
export const BALANCE_DEFAULT = 'round-robin';

/** Every server of the web speaks it. */
export const SERVER_PROTOCOL_DEFAULT = 'http';

/** Weights are shares; equal ones are 1. */
export const SERVER_WEIGHT_DEFAULT = 1;

/** With `fall` 3, a dead server is out after about six seconds, at half a request a second. */
export const HEALTH_INTERVAL_MS_DEFAULT = 2_000;

/** Shorter than the interval, so that two checks of one server never overlap. */
export const HEALTH_TIMEOUT_MS_DEFAULT = 1_000;

/** Two in a row: one success may be luck. */
export const HEALTH_RISE_DEFAULT = 2;

/** Three in a row: one lost packet is no outage. */
export const HEALTH_FALL_DEFAULT = 3;

/** Every server answers something there. */
export const HEALTH_PATH_DEFAULT = '/';

/** Success by RFC 9110 §15.3; a redirect is not a sign of health. */
export const HEALTH_EXPECT_DEFAULT: readonly (readonly [number, number])[] = [[200, 299]];

/** Five failed dials in a row do not come from chance. */
export const EJECTION_FAILURES_DEFAULT = 5;

/** Long enough for a restart, short enough not to hurt after a mistake. */
export const EJECTION_FOR_MS_DEFAULT = 10_000;

/** Two further servers: with three tries a client meets an outage only when most of the pool is gone. */
export const RETRY_ATTEMPTS_DEFAULT = 2;

/** A fifth: a pool that fails entirely then sees 1.2 times its dials, not three times. */
export const RETRY_BUDGET_DEFAULT = 0.2;

/** Covers the concurrency of one busy worker without holding a server's whole backlog. */
export const IDLE_CONNECTIONS_DEFAULT = 64;

/** Below the 5 s after which Node servers, the shortest of the usual ones, close an idle connection. */
export const IDLE_TIMEOUT_MS_DEFAULT = 4_000;

/** Four seconds leave room for two lost SYN packets (retransmitted after 1 s and 3 s, RFC 6298 §2). */
export const CONNECT_TIMEOUT_MS_DEFAULT = 4_000;

/** Longer than the keep-alives of the usual database drivers, shorter than the state of the usual firewalls. */
export const FLOW_IDLE_TIMEOUT_MS_DEFAULT = 300_000;

/** A side that has seen the other end needs time for its last bytes only. */
export const HALF_CLOSED_TIMEOUT_MS_DEFAULT = 10_000;

/** A client that means to speak first does so within a round trip or two. */
export const DETECT_TIMEOUT_MS_DEFAULT = 2_000;

/** The header comes with the first packet of a connection; three seconds leave room for one that is lost (RFC 6298 §2). */
export const PROXY_HEADER_TIMEOUT_MS_DEFAULT = 3_000;

/** The addresses and TLVs of the usual proxies take below 600 bytes; a client's certificate may name a long subject. */
export const PROXY_HEADER_BYTES_DEFAULT = 4 * 1024;

/** A head fits in a few packets; what takes longer is a slow-head attack. */
export const REQUEST_HEAD_TIMEOUT_MS_DEFAULT = 10_000;

/** Between two reads of a body, so that a slow line may still upload a large file. */
export const REQUEST_BODY_TIMEOUT_MS_DEFAULT = 30_000;

/** As long as the usual servers and proxies give a handler. */
export const RESPONSE_TIMEOUT_MS_DEFAULT = 60_000;

/** Browsers reuse a connection within a minute or not at all. */
export const KEEP_ALIVE_TIMEOUT_MS_DEFAULT = 60_000;

/** Twice what the usual servers accept, so that a head refused here would have been refused there. */
export const HEAD_BYTES_DEFAULT = 16 * 1024;

/** As many as the usual servers accept. */
export const HEAD_FIELDS_DEFAULT = 100;

/** RFC 9113 §6.5.2 advises no less, so as not to hold browsers back. */
export const STREAMS_DEFAULT = 100;

/** RFC 9112 §3 asks for at least 8,000 bytes. */
export const TARGET_BYTES_DEFAULT = 8 * 1024;

/** What `on-revoke: drain` gives open flows: long enough for a transaction, short enough for who waits for a rule to take effect. */
export const REVOKE_DRAIN_MS_DEFAULT = 30_000;

/** Clocks that are kept by NTP are within a second; half a minute forgives one that is not, and lets no token live much longer. */
export const TOKEN_CLOCK_SKEW_MS_DEFAULT = 30_000;

/** The oldest version without known faults where its ciphers are chosen well (RFC 9325 §3.1.1). */
export const TLS_MINIMUM_DEFAULT = '1.2';

/** Forward secrecy and authenticated encryption alone (RFC 9325 §4.2); AES-128 first, which is the cheapest and strong enough. */
export const TLS_CIPHERS_DEFAULT = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
] as const;

/** What browsers offer first, the post-quantum hybrid before the rest. */
export const TLS_CURVES_DEFAULT = ['X25519MLKEM768', 'X25519', 'prime256v1', 'secp384r1'] as const;

/** What clients of an application in mode http are offered. */
export const ALPN_HTTP_DEFAULT: readonly string[] = ['h2', 'http/1.1'];

/** A key that leaks opens the sessions of a day at most: one period in use, one more for tickets that come back. */
export const TLS_TICKET_ROTATION_MS_DEFAULT = 12 * 3_600_000;

/** Two round trips and some arithmetic; a slow line needs a second or two, and what takes longer is an attack. */
export const TLS_HANDSHAKE_TIMEOUT_MS_DEFAULT = 5_000;
