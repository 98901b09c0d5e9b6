/*
 * What tests put into a guest's memory. Static, so that it runs beside busybox and nothing else.
 *
 *   workload hold MIB FIFO     anonymous memory with a known content; obeys lines written to FIFO (which it makes):
 *                              `verify` reads all of it back, `quit` ends. Prints `held`, `verified` or `broken PAGE`.
 *   workload read FILE PASSES  reads the file so many times, 0 is for ever; prints `pass N MICROSECONDS` for each.
 *   workload touch MIB PASSES  anonymous memory of which every page is written in each pass; prints the same.
 *   workload scatter FILE MIB FIFO  reads so much of FILE page by page, and after each page writes one of anonymous
 *                              memory: the two lie in alternate pages. Prints `scattered`, and keeps the anonymous
 *                              pages until `quit` is written to FIFO.
 *   workload resident FILE     prints how many bytes of the file are in the page cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, PAGE = 4096, WORDS = PAGE / 8 };

static void fail(const char *what) {
  fprintf(stderr, "workload: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static size_t bytes_of(const char *mib) {
  size_t bytes = strtoul(mib, NULL, 10) * MIB;
  if (bytes == 0) {
    errno = EINVAL;
    fail("take this size");
  }
  return bytes;
}

static uint64_t *anonymous(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("map memory");
  /* Huge pages would be swapped and aged as one; tests count pages. */
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return memory;
}

/* splitmix64: every word differs from every other, so that no compressor makes the pages vanish. */
static uint64_t word_at(uint64_t index) {
  uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void verify(const uint64_t *memory, size_t words) {
  for (size_t i = 0; i < words; i++) {
    if (memory[i] != word_at(i)) {
      printf("broken %zu\n", i / WORDS);
      return;
    }
  }
  printf("verified\n");
}

static int hold(size_t bytes, const char *fifo) {
  uint64_t *memory = anonymous(bytes);
  size_t words = bytes / 8;
  for (size_t i = 0; i < words; i++) memory[i] = word_at(i);
  if (mkfifo(fifo, 0600) != 0 && errno != EEXIST) fail("make the fifo");
  /* Open for writing too: a fifo that the last writer closes would be at its end for ever. */
  int fd = open(fifo, O_RDWR);
  if (fd < 0) fail("open the fifo");
  FILE *orders = fdopen(fd, "r");
  printf("held\n");
  for (char line[64]; fgets(line, sizeof line, orders) != NULL;) {
    if (strcmp(line, "verify\n") == 0) verify(memory, words);
    if (strcmp(line, "quit\n") == 0) break;
  }
  return 0;
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void read_once(const char *path) {
  static char buffer[MIB];
  int fd = open(path, O_RDONLY);
  if (fd < 0) fail("open the file");
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
  }
  if (got < 0) fail("read the file");
  close(fd);
}

static int passes(const char *path, uint64_t *memory, size_t bytes, unsigned long count) {
  for (unsigned long pass = 1; count == 0 || pass <= count; pass++) {
    uint64_t start = now_us();
    if (path != NULL) read_once(path);
    for (size_t i = 0; i < bytes / 8; i += WORDS) memory[i] = word_at(i + pass);
    printf("pass %lu %llu\n", pass, (unsigned long long)(now_us() - start));
  }
  return 0;
}

static int scatter(const char *path, size_t bytes, const char *fifo) {
  static char page[PAGE];
  uint64_t *memory = anonymous(bytes);
  int fd = open(path, O_RDONLY);
  if (fd < 0) fail("open the file");
  /* No read ahead: it would fill whole blocks with the file's pages, or one large folio. */
  if (posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0) fail("advise on the file");
  for (size_t at = 0; at < bytes; at += PAGE) {
    if (pread(fd, page, PAGE, at) != PAGE) fail("read the file");
    memory[at / 8] = word_at(at);
  }
  if (mkfifo(fifo, 0600) != 0 && errno != EEXIST) fail("make the fifo");
  printf("scattered\n");
  int orders = open(fifo, O_RDONLY);
  if (orders < 0) fail("open the fifo");
  return read(orders, page, PAGE) < 0;
}

static int resident(const char *path) {
  int fd = open(path, O_RDONLY);
  struct stat about;
  if (fd < 0 || fstat(fd, &about) != 0) fail("open the file");
  size_t pages = ((size_t)about.st_size + PAGE - 1) / PAGE;
  void *memory = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
  unsigned char *there = malloc(pages);
  if (memory == MAP_FAILED || there == NULL) fail("map the file");
  if (mincore(memory, (size_t)about.st_size, there) != 0) fail("ask for the file's pages");
  size_t count = 0;
  for (size_t i = 0; i < pages; i++) count += there[i] & 1;
  printf("%zu\n", count * PAGE);
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 4 && strcmp(argv[1], "hold") == 0) return hold(bytes_of(argv[2]), argv[3]);
  if (argc == 4 && strcmp(argv[1], "read") == 0) return passes(argv[2], NULL, 0, strtoul(argv[3], NULL, 10));
  if (argc == 4 && strcmp(argv[1], "touch") == 0) {
    size_t bytes = bytes_of(argv[2]);
    return passes(NULL, anonymous(bytes), bytes, strtoul(argv[3], NULL, 10));
  }
  if (argc == 5 && strcmp(argv[1], "scatter") == 0) return scatter(argv[2], bytes_of(argv[3]), argv[4]);
  if (argc == 3 && strcmp(argv[1], "resident") == 0) return resident(argv[2]);
  fprintf(stderr, "usage: workload resident FILE | hold MIB FIFO | read FILE PASSES | touch MIB PASSES | scatter FILE MIB FIFO\n");
  return 2;
}
