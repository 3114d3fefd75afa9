/* Yardstick C: the least a socketmap server can cost on this kernel. epoll, a hash table, no parsing to speak of.
 *
 *   yardstick SOCKET FILE
 *
 * FILE holds the pairs of load.c; whatever is not among the requests is answered NOTFOUND. */
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
#include <unistd.h>

#define BUFFER 4096 /* the benchmark's requests are short */
#define SLOTS (1 << 19)

struct entry { const char *request, *reply; uint32_t request_length, reply_length; };
static struct entry table[SLOTS];

static uint64_t hash(const char *p, uint32_t n) {
  uint64_t h = 1469598103934665603ull;
  while (n--) h = (h ^ (unsigned char)*p++) * 1099511628211ull;
  return h;
}

static struct entry *find(const char *p, uint32_t n) {
  uint64_t i = hash(p, n) % SLOTS;
  while (table[i].request && (table[i].request_length != n || memcmp(table[i].request, p, n))) i = (i + 1) % SLOTS;
  return &table[i];
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int fd = open(argv[2], O_RDONLY);
  struct stat s;
  if (fd < 0 || fstat(fd, &s)) return 1;
  char *p = mmap(0, s.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *end = p + s.st_size;
  while (p < end) {
    struct entry each;
    memcpy(&each.request_length, p, 4); each.request = p + 4; p += 4 + each.request_length;
    memcpy(&each.reply_length, p, 4); each.reply = p + 4; p += 4 + each.reply_length;
    *find(each.request, each.request_length) = each;
  }
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strncpy(a.sun_path, argv[1], sizeof a.sun_path - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), epoll = epoll_create1(0);
  if (bind(listener, (void *)&a, sizeof a) || listen(listener, 1024)) return 1;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int n = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < n; i++) {
      int from = events[i].data.fd;
      if (from == listener) {
        event.data.fd = accept(listener, 0, 0);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        continue;
      }
      char buffer[BUFFER];
      ssize_t length = read(from, buffer, sizeof buffer);
      if (length <= 0) { close(from); continue; }
      struct entry *found = find(buffer, length);
      if (found->request) { if (write(from, found->reply, found->reply_length) < 0) close(from); }
      else if (write(from, "9:NOTFOUND ,", 12) < 0) close(from);
    }
  }
}
