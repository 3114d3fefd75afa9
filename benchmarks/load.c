/* The load generator: sends requests over unix sockets, compares every reply, prints one JSON line.
 *
 *   load SOCKET CONNECTIONS SECONDS FILE [line] [once] [reconnect] [rate=N] [hello=TEXT] [ready=TEXT]
 *
 * FILE holds pairs (u32 length, request, u32 length, expected reply). Each connection has one request under way; the
 * next pair goes to the next free connection. `line`: the reply ends at LF and must begin with what is expected, else it
 * must be equal. `once`: end after the last pair instead of beginning again. `reconnect`: a connection for each
 * request. `rate`: open loop, latency counts from the moment a request was due. `hello` is sent at connect (%d in it: a number of the connection); nothing
 * else is until `ready` was read. Written in C so that the generator is never what is measured. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUFFER 131072   /* a socketmap reply has at most 100,000 bytes */
#define SAMPLES 4000000 /* latencies kept; later ones are not */

struct pair { const char *request, *expected; uint32_t request_length, expected_length; };
struct connection { int fd, busy, ready; struct pair *pair; double due; size_t filled; char buffer[BUFFER]; };

static struct pair *pairs;
static size_t pair_count, next_pair, answered, wrong, sample_count;
static float *samples;
static int line_mode, once, reconnect_mode;
static double rate;
static const char *hello, *ready, *path;
static char first_wrong[400];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(1); }

static void read_pairs(const char *name) {
  int fd = open(name, O_RDONLY);
  struct stat s;
  if (fd < 0 || fstat(fd, &s)) die(name);
  char *p = mmap(0, s.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *end = p + s.st_size;
  if (p == MAP_FAILED) die("mmap");
  size_t room = 0;
  while (p < end) {
    if (pair_count == room) pairs = realloc(pairs, (room = room ? room * 2 : 1024) * sizeof *pairs);
    struct pair *each = &pairs[pair_count++];
    memcpy(&each->request_length, p, 4); each->request = p + 4; p += 4 + each->request_length;
    memcpy(&each->expected_length, p, 4); each->expected = p + 4; p += 4 + each->expected_length;
  }
}

static int dial(int number) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strncpy(a.sun_path, path, sizeof a.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  for (int tries = 0; connect(fd, (void *)&a, sizeof a); tries++) {
    if (errno != EAGAIN || tries > 10000) die("connect");
    usleep(200); /* the listener's backlog is full */
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  if (hello) { /* %d in it becomes a number of this connection: Dovecot wants a process id of each client */
    char text[200];
    int length = snprintf(text, sizeof text, hello, 10000 + number);
    if (write(fd, text, length) != length) die("hello");
  }
  return fd;
}

static void watch(int epoll, struct connection *c) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static int start(int epoll, struct connection *c, double due) {
  if (next_pair == pair_count) {
    if (once) return 0;
    next_pair = 0;
  }
  if (reconnect_mode) { c->fd = dial((int)answered); watch(epoll, c); }
  c->pair = &pairs[next_pair++];
  c->due = due; c->busy = 1; c->filled = 0;
  if (write(c->fd, c->pair->request, c->pair->request_length) != (ssize_t)c->pair->request_length) die("write");
  return 1;
}

/* 1: a whole reply was read; 0: not yet */
static int receive(struct connection *c) {
  ssize_t n = read(c->fd, c->buffer + c->filled, BUFFER - c->filled);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) { fprintf(stderr, "the server closed a connection\n"); exit(1); }
  c->filled += n;
  if (!c->ready) {
    if (!memmem(c->buffer, c->filled, ready, strlen(ready))) return 0;
    c->ready = 1; c->filled = 0;
    return 0;
  }
  char last = c->buffer[c->filled - 1]; /* every reply measured here ends in LF or in a netstring's comma */
  if (last != '\n' && last != ',') return 0;
  size_t length = c->pair->expected_length;
  int same = c->filled >= length && (line_mode || c->filled == length) && !memcmp(c->buffer, c->pair->expected, length);
  if (!same && !wrong++) snprintf(first_wrong, sizeof first_wrong, "%.*s", (int)(c->filled < 300 ? c->filled : 300), c->buffer);
  return 1;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(double q) { return sample_count ? samples[(size_t)(q * (sample_count - 1))] : 0; }

int main(int argc, char **argv) {
  if (argc < 5) { fprintf(stderr, "see the head of load.c\n"); return 2; }
  path = argv[1];
  int count = atoi(argv[2]);
  double seconds = atof(argv[3]);
  read_pairs(argv[4]);
  for (int i = 5; i < argc; i++) {
    if (!strcmp(argv[i], "line")) line_mode = 1;
    else if (!strcmp(argv[i], "once")) once = 1;
    else if (!strcmp(argv[i], "reconnect")) reconnect_mode = 1;
    else if (!strncmp(argv[i], "rate=", 5)) rate = atof(argv[i] + 5);
    else if (!strncmp(argv[i], "hello=", 6)) hello = argv[i] + 6;
    else if (!strncmp(argv[i], "ready=", 6)) ready = argv[i] + 6;
    else { fprintf(stderr, "unknown: %s\n", argv[i]); return 2; }
  }
  samples = malloc(SAMPLES * sizeof *samples);
  struct connection *all = calloc(count, sizeof *all);
  int epoll = epoll_create1(0);
  for (int i = 0; i < count; i++) {
    all[i].ready = !ready;
    if (!reconnect_mode) { all[i].fd = dial(i); watch(epoll, &all[i]); }
  }
  struct epoll_event events[1024];
  for (int waiting = ready ? count : 0; waiting;) { /* handshakes are not measured */
    int n = epoll_wait(epoll, events, 1024, 10000);
    if (n <= 0) die("handshake");
    for (int i = 0; i < n; i++) { receive(events[i].data.ptr); waiting -= ((struct connection *)events[i].data.ptr)->ready; }
  }
  double begin = now(), end = begin + seconds, due = begin;
  int busy = 0, stopping = 0;
  if (!rate) for (int i = 0; i < count; i++) busy += start(epoll, &all[i], now());
  while (busy || (!stopping && rate)) {
    if (rate && !stopping) {
      for (int i = 0; due <= now() && i < count; i++) {
        if (all[i].busy) continue;
        if (!start(epoll, &all[i], due)) { stopping = 1; break; }
        busy++; due += 1 / rate;
      }
    }
    double until = rate && !stopping && busy < count ? due - now() : 30; /* asleep until the next is due: a busy wait would take a CPU */
    struct timespec pause = {.tv_sec = until > 0 ? (time_t)until : 0};
    if (until > 0) pause.tv_nsec = (until - (double)pause.tv_sec) * 1e9;
    int n = epoll_pwait2(epoll, events, 1024, &pause, 0);
    if (n < 0) die("epoll_wait");
    if (!n && !rate) { fprintf(stderr, "no reply for 30 s\n"); return 1; }
    for (int i = 0; i < n; i++) {
      struct connection *c = events[i].data.ptr;
      if (!receive(c)) continue;
      answered++;
      if (sample_count < SAMPLES) samples[sample_count++] = now() - c->due;
      c->busy = 0; busy--;
      if (reconnect_mode) close(c->fd);
      if (!stopping && !rate) {
        if (start(epoll, c, now())) busy++; else stopping = 1;
      }
    }
    if (now() > end) stopping = 1;
  }
  double elapsed = now() - begin;
  qsort(samples, sample_count, sizeof *samples, ascending);
  if (wrong) fprintf(stderr, "first wrong reply: %s\n", first_wrong);
  printf("{\"requests\": %zu, \"wrong\": %zu, \"seconds\": %.6f, \"p50\": %.7f, \"p99\": %.7f}\n", answered, wrong, elapsed,
         quantile(.5), quantile(.99));
  return wrong != 0;
}
