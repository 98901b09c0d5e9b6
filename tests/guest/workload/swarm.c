/*
 * Cgroups by the thousand, faster than a shell makes them.
 *
 *   swarm churn FOLDER EACH_SECOND SECONDS  makes and removes so many cgroups below FOLDER each second, twenty names in
 *                                           turn, each with memory of its own while it lives; every other one leaves
 *                                           some behind when it dies. Prints `churned COUNT`.
 *   swarm make FOLDER COUNT                 makes FOLDER and so many cgroups in it. Prints `made COUNT`.
 *   swarm fill FOLDER COUNT KIB FILE        as make, with so much page cache of FILE charged to each. Prints `filled COUNT`.
 *   swarm namespaced CGROUP COMMAND...      joins CGROUP and runs COMMAND as a container would: in a cgroup namespace of
 *                                           its own, with that namespace's tree at /sys/fs/cgroup.
 *   swarm doom CGROUP MIB PID               waits until CGROUP uses less than so many MiB, and removes it in that moment,
 *                                           for which it stops the process PID.
 *                                           Prints `left MIB`.
 *   swarm remove FOLDER                     removes FOLDER and the cgroups in it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { NAMES = 20, CHARGE = 256 << 10 };

static void fail(const char *what) {
  fprintf(stderr, "swarm: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void join(const char *folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", folder);
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, "0", 1) != 1) fail(path);
  close(fd);
}

static int churn(const char *folder, unsigned long each_second, unsigned long seconds) {
  char path[4096], home[4096];
  void *kept = NULL;
  unsigned long count = 0;
  uint64_t start = now_us();
  mkdir(folder, 0755);
  snprintf(path, sizeof path, "%s/cgroup.subtree_control", folder);
  int control = open(path, O_WRONLY);
  if (control < 0 || write(control, "+memory", 7) != 7) fail(path);
  close(control);
  snprintf(home, sizeof home, "%s/home", folder);
  mkdir(home, 0755);
  while (now_us() - start < seconds * 1000000) {
    snprintf(path, sizeof path, "%s/c%lu", folder, count % NAMES);
    if (mkdir(path, 0755) != 0) fail(path);
    join(path);
    char *memory = mmap(NULL, CHARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) fail("map memory");
    if (count % 2 == 0) munmap(memory, CHARGE);
    else {
      if (kept != NULL) munmap(kept, CHARGE);
      kept = memory;
    }
    join(home);
    if (rmdir(path) != 0) fail(path);
    count++;
    uint64_t due = start + count * 1000000 / each_second, now = now_us();
    if (due > now) usleep((useconds_t)(due - now));
  }
  printf("churned %lu\n", count);
  return 0;
}

static int make(const char *folder, unsigned long count) {
  char path[4096];
  if (mkdir(folder, 0755) != 0) fail(folder);
  snprintf(path, sizeof path, "%s/cgroup.subtree_control", folder);
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, "+memory", 7) != 7) fail(path);
  close(fd);
  for (unsigned long i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/m%lu", folder, i);
    if (mkdir(path, 0755) != 0) fail(path);
  }
  printf("made %lu\n", count);
  return 0;
}

static int fill(const char *folder, unsigned long count, unsigned long kib, const char *name) {
  char path[4096];
  size_t bytes = kib << 10;
  char *text = malloc(bytes);
  int fd = open(name, O_CREAT | O_WRONLY, 0600);
  if (text == NULL || fd < 0) fail(name);
  memset(text, 'x', bytes);
  make(folder, count);
  for (unsigned long i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/m%lu", folder, i);
    join(path);
    if (pwrite(fd, text, bytes, (off_t)(i * bytes)) != (ssize_t)bytes) fail(name);
  }
  if (fsync(fd) != 0) fail(name);
  printf("filled %lu\n", count);
  return 0;
}

static int namespaced(const char *folder, char **command) {
  mkdir(folder, 0755);
  join(folder);
  if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS) != 0) fail("unshare");
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make the mounts private");
  if (umount2("/sys/fs/cgroup", MNT_DETACH) != 0) fail("unmount the host's tree");
  if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) != 0) fail("mount the namespace's tree");
  execvp(command[0], command);
  fail(command[0]);
  return 1;
}

/* Stops the process that evicts for the moment of the removal, so that it is never through with it by then. */
static int doom(const char *folder, unsigned long mib, pid_t evictor) {
  char path[4096], text[32] = "";
  unsigned long used = 0;
  snprintf(path, sizeof path, "%s/memory.current", folder);
  int fd = open(path, O_RDONLY);
  if (fd < 0) fail(path);
  for (uint64_t start = now_us(); now_us() - start < 60000000;) {
    if (pread(fd, text, sizeof text - 1, 0) <= 0) fail("read a number");
    used = strtoul(text, NULL, 10) >> 20;
    if (used < mib) break;
  }
  if (kill(evictor, SIGSTOP) != 0) fail("stop the evicting process");
  int removed = rmdir(folder);
  kill(evictor, SIGCONT);
  if (removed != 0) fail(folder);
  printf("left %lu\n", used);
  return 0;
}

static int remove_all(const char *folder) {
  char path[4096];
  DIR *dir = opendir(folder);
  if (dir == NULL) fail(folder);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (rmdir(path) != 0) fail(path);
  }
  closedir(dir);
  if (rmdir(folder) != 0) fail(folder);
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 5 && strcmp(argv[1], "churn") == 0) {
    return churn(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
  }
  if (argc == 4 && strcmp(argv[1], "make") == 0) return make(argv[2], strtoul(argv[3], NULL, 10));
  if (argc == 6 && strcmp(argv[1], "fill") == 0) {
    return fill(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), argv[5]);
  }
  if (argc > 3 && strcmp(argv[1], "namespaced") == 0) return namespaced(argv[2], argv + 3);
  if (argc == 5 && strcmp(argv[1], "doom") == 0) {
    return doom(argv[2], strtoul(argv[3], NULL, 10), (pid_t)strtoul(argv[4], NULL, 10));
  }
  if (argc == 3 && strcmp(argv[1], "remove") == 0) return remove_all(argv[2]);
  fprintf(stderr,
          "usage: swarm churn FOLDER EACH_SECOND SECONDS | make FOLDER COUNT | fill FOLDER COUNT KIB FILE |\n"
          "       namespaced CGROUP COMMAND... | doom CGROUP MIB PID | remove FOLDER\n");
  return 2;
}
