/*
 * A small key-value server whose answers must be quick, and the client that measures them.
 *
 *   store serve SOCKET MIB INDEX         so many MiB of values in memory, found through the mapped file INDEX (made
 *                                        where it is missing), with a page for each. Prints `ready`.
 *   store load SOCKET COUNT GAP_US       asks for so many keys, GAP_US after each answer: 19 of 20 among the first tenth
 *                                        of them, the rest anywhere. Prints `p50 US p99 US p999 US max US` (microseconds).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, KEYS = 1 << 20 };

static void fail(const char *what) {
  fprintf(stderr, "store: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int listening(const char *path, int (*start)(int, const struct sockaddr *, socklen_t), const char *what) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || start(fd, (const struct sockaddr *)&address, sizeof address) != 0) fail(what);
  return fd;
}

/* Value i of page `place`; the index says on which page the value of a key is. */
static uint64_t *index_file(const char *path, uint64_t pages) {
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0) fail(path);
  for (uint64_t key = lseek(fd, 0, SEEK_END) / PAGE; key < pages; key++) {
    uint64_t entry[PAGE / 8] = {pages - 1 - key};
    if (pwrite(fd, entry, PAGE, (off_t)(key * PAGE)) != PAGE) fail("write the index");
  }
  fsync(fd);
  void *memory = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail("map the index");
  return memory;
}

static _Noreturn void serve(const char *path, uint64_t pages, const char *index_path) {
  uint64_t *values = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (values == MAP_FAILED) fail("map memory");
  madvise(values, pages * PAGE, MADV_NOHUGEPAGE);
  for (uint64_t i = 0; i < pages * PAGE / 8; i++) values[i] = mixed(i + 1);
  const uint64_t *index = index_file(index_path, pages);
  unlink(path);
  int door = listening(path, bind, "bind");
  if (listen(door, 4) != 0) fail("listen");
  printf("ready\n");
  for (;;) {
    int client = accept(door, NULL, NULL);
    uint64_t key;
    while (client >= 0 && read(client, &key, sizeof key) == sizeof key) {
      uint64_t place = index[key % KEYS * pages / KEYS * (PAGE / 8)];
      if (write(client, &values[place * (PAGE / 8)], 8) != 8) break;
    }
    close(client);
  }
}

static int ascending(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

static int load(const char *path, unsigned long count, unsigned long gap_us) {
  int server = listening(path, connect, "connect");
  uint32_t *took = calloc(count, sizeof *took);
  if (took == NULL) fail("get memory");
  for (unsigned long i = 0; i < count; i++) {
    uint64_t random = mixed((i + 1) * 0x9e3779b97f4a7c15u), answer;
    uint64_t key = (random >> 8) % (random % 20 == 0 ? KEYS : KEYS / 10);
    uint64_t start = now_us();
    if (write(server, &key, sizeof key) != sizeof key || read(server, &answer, 8) != 8) fail("ask");
    took[i] = (uint32_t)(now_us() - start);
    usleep((useconds_t)gap_us);
  }
  qsort(took, count, sizeof *took, ascending);
  printf("p50 %u p99 %u p999 %u max %u\n", took[count / 2], took[count * 99 / 100], took[count * 999 / 1000],
         took[count - 1]);
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 5 && strcmp(argv[1], "serve") == 0) {
    serve(argv[2], strtoul(argv[3], NULL, 10) * 256, argv[4]);
  }
  if (argc == 5 && strcmp(argv[1], "load") == 0) {
    return load(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
  }
  fprintf(stderr, "usage: store serve SOCKET MIB INDEX | load SOCKET COUNT GAP_US\n");
  return 2;
}
