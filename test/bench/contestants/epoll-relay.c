/*
 * The bare relay (see bare-relay.mjs) in C: one thread, epoll, and no library. It finds the fields of a frame by searching for
 * their names, so it is no server to run, but the limit of what this protocol can cost on a core.
 *
 * Relies on the load: no message in several fragments, `path` behind `input` in each call, no `}` in a candidate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_MAX = 1 << 16, HEADER_MAX = 14, TEXT = 0x1, CLOSE = 0x8, PING = 0x9, PONG = 0xA };

struct peer {
  int fd, is_upgraded, is_closing, is_held_up;
  long events_id, offset;
  struct peer *partner;
  /* The beginning of a frame whose rest has not arrived. */
  char *rest;
  size_t rest_size;
  /* Written to the socket behind each frame that is handled. */
  char *out;
  size_t out_size, out_max;
};

static struct peer *waiting;
static int epoll;
static unsigned long long rooms;

/* ---- what the handshake needs ---- */

static uint32_t rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

/* SHA-1 (RFC 3174) of a text that fits into two blocks. */
static void sha1(const char *text, unsigned char digest[20]) {
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  unsigned char data[128] = {0};
  size_t size = strlen(text), blocks = size + 9 <= 64 ? 1 : 2;
  memcpy(data, text, size);
  data[size] = 0x80;
  for (int i = 0; i < 8; i++) data[blocks * 64 - 1 - i] = (uint64_t)size * 8 >> 8 * i;
  for (size_t block = 0; block < blocks; block++) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
      const unsigned char *p = data + block * 64 + i * 4;
      w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
      uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                   : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                   : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                            : (b ^ c ^ d) + 0xCA62C1D6;
      uint32_t next = rotate(a, 5) + f + e + w[i];
      e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - i % 4 * 8);
}

/* Of 20 bytes, which are 28 characters with one of padding. */
static void base64(const unsigned char digest[20], char text[29]) {
  const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned char padded[21] = {0};
  memcpy(padded, digest, 20);
  for (int i = 0; i < 7; i++) {
    uint32_t three = padded[i * 3] << 16 | padded[i * 3 + 1] << 8 | padded[i * 3 + 2];
    for (int j = 0; j < 4; j++) text[i * 4 + j] = digits[three >> (18 - 6 * j) & 63];
  }
  strcpy(text + 27, "=");
}

/* ---- what is sent ---- */

static void queue(struct peer *peer, const char *bytes, size_t size) {
  if (peer->out_size + size > peer->out_max) {
    peer->out_max = peer->out_size + size;
    peer->out = realloc(peer->out, peer->out_max);
    if (!peer->out) abort();
  }
  memcpy(peer->out + peer->out_size, bytes, size);
  peer->out_size += size;
}

static void queue_frame(struct peer *peer, int opcode, const char *bytes, size_t size) {
  unsigned char header[4] = {0x80 | opcode, size < 126 ? size : 126, size >> 8, size};
  queue(peer, (char *)header, size < 126 ? 2 : 4);
  queue(peer, bytes, size);
}

/* Writes what is queued. What the socket does not take waits until it is writable. */
static void flush(struct peer *peer) {
  if (peer->out_size == 0) return;
  ssize_t sent = send(peer->fd, peer->out, peer->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN) return; /* It is closed, which its own event will say. */
  if (sent > 0) memmove(peer->out, peer->out + sent, peer->out_size -= sent);
  int is_held_up = peer->out_size > 0;
  if (is_held_up != peer->is_held_up) {
    struct epoll_event change = {.events = is_held_up ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = peer};
    epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &change);
    peer->is_held_up = is_held_up;
  }
  /* An idle peer keeps no buffer. */
  if (!is_held_up) free(peer->out), peer->out = NULL, peer->out_max = 0;
}

static char text[2 * FRAME_MAX];

static void respond(struct peer *peer, long id, const char *data) {
  int size = snprintf(text, sizeof text, "{\"id\":%ld,\"result\":{\"type\":\"data\",\"data\":%s}}", id, data);
  queue_frame(peer, TEXT, text, size);
}

/* An event with a room's id and one more field, which is given as it was received. */
static void send_event(struct peer *peer, const char *type, const char *room, int room_size, const char *field, int field_size) {
  long offset = ++peer->offset;
  int size = snprintf(text, sizeof text,
                      "{\"id\":%ld,\"result\":{\"type\":\"data\",\"data\":{\"id\":\"epoch:%ld\",\"data\":{\"type\":\"%s\","
                      "\"roomId\":\"%.*s\"%s%.*s}},\"id\":\"epoch:%ld\"}}",
                      peer->events_id, offset, type, room_size, room, field_size > 0 ? "," : "", field_size, field, offset);
  queue_frame(peer, TEXT, text, size);
}

/* ---- what is received ---- */

static char *find(char *from, char *end, const char *what) { return memmem(from, end - from, what, strlen(what)); }

static void join(struct peer *peer, long id) {
  struct peer *other = waiting;
  if (!other || other == peer) {
    waiting = peer;
    return respond(peer, id, "{\"status\":\"waiting\"}");
  }
  waiting = NULL;
  peer->partner = other, other->partner = peer;
  char room[37];
  int size = snprintf(room, sizeof room, "00000000-0000-4000-8000-%012llx", ++rooms);
  send_event(peer, "create-offer", room, size, "", 0);
  send_event(other, "wait-for-offer", room, size, "", 0);
  respond(peer, id, "{\"status\":\"paired\"}");
  flush(other);
}

static void part(struct peer *peer) {
  if (waiting == peer) waiting = NULL;
  if (peer->partner) peer->partner->partner = NULL;
  peer->partner = NULL;
}

/* A signal: the field from its name to the end of its value, to the partner. */
static void relay(struct peer *peer, long id, const char *type, char *call, char *end, const char *name, char last) {
  char *room = find(call, end, "\"roomId\":\""), *field = find(call, end, name);
  if (!room || !field) return;
  room += strlen("\"roomId\":\"");
  char *room_end = memchr(room, '"', end - room);
  char *field_end = memchr(field + strlen(name), last, end - field - strlen(name));
  while (field_end && field_end[-1] == '\\') field_end = memchr(field_end + 1, last, end - field_end - 1);
  if (!room_end || !field_end) return;
  if (peer->partner) send_event(peer->partner, type, room, room_end - room, field, field_end + 1 - field);
  respond(peer, id, "{\"delivered\":true}");
}

static void handle_message(struct peer *peer, char *message, char *end) {
  if (end - message == 4 && memcmp(message, "PING", 4) == 0) return queue_frame(peer, TEXT, "PONG", 4);
  /* Quotes within strings are escaped, so that these are names of fields wherever they are found. */
  for (char *call; (call = find(message, end, "{\"id\":"));) {
    char *path = find(call, end, "\"path\":\"");
    if (!path) return;
    message = path; /* where the next call is looked for */
    long id = atol(call + strlen("{\"id\":"));
    path += strlen("\"path\":\"");
    if (!strncmp(path, "addIceCandidate", 15)) relay(peer, id, "add-ice-candidate", call, path, "\"candidate\":{", '}');
    else if (!strncmp(path, "offer", 5)) relay(peer, id, "offer", call, path, "\"sdp\":\"", '"');
    else if (!strncmp(path, "join", 4)) join(peer, id);
    else if (!strncmp(path, "leave", 5)) part(peer), respond(peer, id, "{\"status\":\"idle\"}");
    else if (!strncmp(path, "events", 6)) peer->events_id = id, send_event(peer, "session", "", 0, "", 0);
  }
  if (peer->partner) flush(peer->partner);
}

/* The bytes of the frame at `bytes`, handled; 0 if it is not complete, or is one that is not served. */
static size_t handle_frame(struct peer *peer, unsigned char *bytes, size_t available) {
  if (available < 6) return 0;
  size_t size = bytes[1] & 0x7F, header = 6;
  if (size == 127) return peer->is_closing = 1, 0;
  if (size == 126) {
    if (available < 8) return 0;
    size = bytes[2] << 8 | bytes[3], header = 8;
  }
  if (available < header + size) return 0;
  unsigned char *payload = bytes + header, *mask = payload - 4;
  uint64_t masks, word;
  memcpy(&masks, mask, 4), memcpy((char *)&masks + 4, mask, 4);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) memcpy(&word, payload + i, 8), word ^= masks, memcpy(payload + i, &word, 8);
  for (; i < size; i++) payload[i] ^= mask[i % 4];
  switch (bytes[0] & 0x0F) {
    case TEXT: handle_message(peer, (char *)payload, (char *)payload + size); break;
    case PING: queue_frame(peer, PONG, (char *)payload, size); break;
    case CLOSE: queue_frame(peer, CLOSE, (char *)payload, size), peer->is_closing = 1; break;
  }
  flush(peer);
  return header + size;
}

/* The bytes of the request, answered; 0 if it is not complete. */
static size_t upgrade(struct peer *peer, char *bytes, size_t available) {
  char *end = find(bytes, bytes + available, "\r\n\r\n");
  if (!end) return 0;
  *end = '\0';
  char key[128] = "", accept[29], answer[256];
  char *field = strcasestr(bytes, "sec-websocket-key:");
  unsigned char digest[20];
  if (!field || sscanf(field + strlen("sec-websocket-key:"), " %60s", key) != 1) return peer->is_closing = 1, 0;
  strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  sha1(key, digest), base64(digest, accept);
  int size = snprintf(answer, sizeof answer,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  queue(peer, answer, size);
  flush(peer);
  peer->is_upgraded = 1;
  return end + 4 - bytes;
}

static void receive(struct peer *peer) {
  /* Room for a frame that has begun and what one call reads behind it; and a zero, at which searches for text stop. */
  static char bytes[2 * (FRAME_MAX + HEADER_MAX) + 1];
  size_t size = peer->rest_size, done = 0;
  if (size > 0) memcpy(bytes, peer->rest, size), free(peer->rest), peer->rest = NULL, peer->rest_size = 0;
  ssize_t got = recv(peer->fd, bytes + size, FRAME_MAX, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN)) peer->is_closing = 1;
  if (got > 0) size += got;
  bytes[size] = '\0';
  for (size_t took = 1; took > 0 && !peer->is_closing; done += took)
    took = peer->is_upgraded ? handle_frame(peer, (unsigned char *)bytes + done, size - done)
                             : upgrade(peer, bytes + done, size - done);
  if (done == size || peer->is_closing) return;
  peer->rest_size = size - done;
  peer->rest = malloc(peer->rest_size);
  if (!peer->rest) abort();
  memcpy(peer->rest, bytes + done, peer->rest_size);
}

static void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) abort();
    peer->fd = fd;
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = peer};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest);
  }
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, SOMAXCONN) ||
      getsockname(listener, (struct sockaddr *)&address, &size) || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &interest))
    return perror("epoll-relay"), 1;
  printf("http://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (!peer) {
        accept_all(listener);
        continue;
      }
      if (events[i].events & EPOLLOUT) flush(peer);
      if (events[i].events & ~EPOLLOUT) receive(peer);
      if (!peer->is_closing) continue;
      part(peer);
      close(peer->fd);
      free(peer->rest), free(peer->out), free(peer);
    }
  }
}
