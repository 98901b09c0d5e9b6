/*
 * What tests measure inside a guest, where starting a process under emulation would cost more than what is measured.
 *
 *   probe stop CGROUP FILE   run inside the cgroup, whose anonymous memory is being swapped out by somebody. Arms the
 *                            PSI trigger of 1 % of half a second on the cgroup's io.pressure, waits until 8 MiB more
 *                            are in swap, then stalls on direct reads of FILE, and watches memory.swap.current.
 *                            Prints `stalling`, then `fired MS stopped MS`: when the trigger fired and when swap grew
 *                            last, both since the stall began. Ends once swap has not grown for 2 s.
 *   SOCKET is the path of a unix socket, or vsock:CID:PORT.
 *   probe ask SOCKET PATH    asks for PATH again and again over one connection, every 5 ms, until it is killed. Prints
 *                            `busy US` for each answer that says "running":true, and `idle US` for each other.
 *   probe half SOCKET COUNT  opens so many connections with half a request each, prints `open`, and waits until all are
 *                            closed from the other side; then prints `closed COUNT after SECONDS s`.
 *   probe tick               sleeps 5 ms again and again, until it is killed; prints `gap MS` where it slept for 20 or
 *                            more, which is how long the machine that emulates this one held it up.
 *   probe send SOCKET        sends what it reads on its standard input, and prints what it is answered until that ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static void fail(const char *what) {
  fprintf(stderr, "probe: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int open_in(const char *folder, const char *file, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  int fd = open(path, flags);
  if (fd < 0) fail(path);
  return fd;
}

static uint64_t number_in(int fd) {
  char text[32] = "";
  if (pread(fd, text, sizeof text - 1, 0) <= 0) fail("read a number");
  return strtoull(text, NULL, 10);
}

static void stall(const char *file) {
  void *block;
  int fd = open(file, O_RDONLY | O_DIRECT);
  if (fd < 0) fail("open the file for direct reads");
  if (posix_memalign(&block, 4096, MIB) != 0) fail("get a block");
  for (off_t at = 0;; at += MIB) {
    ssize_t got = pread(fd, block, MIB, at);
    if (got < 0) fail("read the file");
    if (got == 0) at = -MIB;
  }
}

static pid_t start_stalling(const char *file) {
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  stall(file);
  return 0;
}

static int stop(const char *cgroup, const char *file) {
  static const char trigger[] = "some 5000 500000";
  struct pollfd armed = {.fd = open_in(cgroup, "io.pressure", O_RDWR | O_NONBLOCK), .events = POLLPRI};
  int swap = open_in(cgroup, "memory.swap.current", O_RDONLY);
  /* What is swapped out shall be the others' memory: waiting for our own would be a stall before its time. */
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) fail("lock our memory");
  if (write(armed.fd, trigger, sizeof trigger) < 0) fail("arm the trigger");
  uint64_t enough = number_in(swap) + 8 * MIB;
  while (number_in(swap) < enough) usleep(2000);

  uint64_t start = now_us(), fired = 0, grew = start, most = number_in(swap);
  pid_t child = start_stalling(file);
  printf("stalling\n");
  while (now_us() - grew < 2000000 || fired == 0) {
    if (poll(&armed, 1, 1) > 0 && fired == 0) fired = now_us();
    uint64_t swapped = number_in(swap);
    if (swapped > most) {
      most = swapped;
      grew = now_us();
    }
  }
  kill(child, SIGKILL);
  printf("fired %.1f stopped %.1f\n", (fired - start) / 1000.0, (grew - start) / 1000.0);
  return 0;
}

static int connected_by_vsock(unsigned cid, unsigned port) {
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
  int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  return fd;
}

static int connected(const char *path) {
  unsigned cid, port;
  if (sscanf(path, "vsock:%u:%u", &cid, &port) == 2) return connected_by_vsock(cid, port);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  return fd;
}

/* One answer with a Content-Length, as text. */
static const char *answer(int fd) {
  static char text[MIB];
  size_t length = 0, whole = 0;
  while (whole == 0 || length < whole) {
    ssize_t got = read(fd, text + length, sizeof text - 1 - length);
    if (got <= 0) fail("read an answer");
    length += (size_t)got;
    text[length] = 0;
    char *body = strstr(text, "\r\n\r\n"), *size = strcasestr(text, "\r\ncontent-length:");
    if (body != NULL && size != NULL) whole = (size_t)(body + 4 - text) + strtoul(size + 17, NULL, 10);
  }
  return text;
}

static _Noreturn void ask(const char *path, const char *what) {
  char request[512];
  int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", what);
  int fd = connected(path);
  for (;; usleep(5000)) {
    uint64_t start = now_us();
    if (write(fd, request, (size_t)length) != length) fail("ask");
    const char *text = answer(fd);
    unsigned long long took = now_us() - start;
    printf("%s %llu\n", strstr(text, "\"running\":true") == NULL ? "idle" : "busy", took);
  }
}

static int half(const char *path, unsigned long count) {
  static const char *const halves[] = {"", "G", "GET /v1/status HTTP/1.1\r\nHos",
                                       "PATCH /v1/memcg HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"};
  struct pollfd *clients = calloc(count, sizeof *clients);
  if (clients == NULL) fail("get memory");
  for (unsigned long i = 0; i < count; i++) {
    const char *text = halves[i % 4];
    clients[i] = (struct pollfd){.fd = connected(path), .events = POLLIN};
    if (write(clients[i].fd, text, strlen(text)) < 0) fail("write half a request");
  }
  printf("open\n");
  uint64_t start = now_us();
  unsigned long closed = 0;
  while (closed < count && poll(clients, count, 60000) > 0) {
    for (unsigned long i = 0; i < count; i++) {
      char part[4096];
      if (clients[i].revents == 0) continue;
      if (read(clients[i].fd, part, sizeof part) > 0) continue;
      close(clients[i].fd);
      clients[i].fd = -1;
      closed++;
    }
  }
  printf("closed %lu after %.1f s\n", closed, (double)(now_us() - start) / 1e6);
  return closed != count;
}

static _Noreturn void tick(void) {
  for (;;) {
    uint64_t start = now_us();
    usleep(5000);
    unsigned long long slept = (now_us() - start) / 1000;
    if (slept >= 20) printf("gap %llu\n", slept);
  }
}

static int send_input(const char *path) {
  char part[65536];
  int fd = connected(path);
  ssize_t got;
  while ((got = read(0, part, sizeof part)) > 0) {
    /* Whoever refuses early closes early. */
    if (send(fd, part, (size_t)got, MSG_NOSIGNAL) < 0) break;
  }
  shutdown(fd, SHUT_WR);
  while ((got = read(fd, part, sizeof part)) > 0) {
    if (write(1, part, (size_t)got) < 0) fail("print");
  }
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 4 && strcmp(argv[1], "stop") == 0) return stop(argv[2], argv[3]);
  if (argc == 4 && strcmp(argv[1], "ask") == 0) ask(argv[2], argv[3]);
  if (argc == 4 && strcmp(argv[1], "half") == 0) return half(argv[2], strtoul(argv[3], NULL, 10));
  if (argc == 2 && strcmp(argv[1], "tick") == 0) tick();
  if (argc == 3 && strcmp(argv[1], "send") == 0) return send_input(argv[2]);
  fprintf(stderr, "usage: probe stop CGROUP FILE | ask SOCKET PATH | half SOCKET COUNT | tick | send SOCKET\n");
  return 2;
}
