/* Full disks: preloaded, it lets every write to a file fail with ENOSPC whose path begins with a line of the file that
 * DISK_FULL_LIST names, as long as that is there. A file system of its own would need a mount, which few may do. What is
 * written through shared memory (SQLite's -shm, Kafka's indexes) is not seen here; what a real disk would keep for it is
 * small. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_listed(const char* path) {
  const char* list = getenv("DISK_FULL_LIST");
  char lines[4096], *line, *rest = NULL;
  ssize_t length;
  int file = list ? open(list, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  length = read(file, lines, sizeof lines - 1);
  close(file);
  if (length <= 0) return 0;
  lines[length] = 0;
  for (line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
    if (strncmp(path, line, strlen(line)) == 0) return 1;
  return 0;
}

static int is_full(int fd) {
  const char* list = getenv("DISK_FULL_LIST");
  char link[32], path[PATH_MAX];
  ssize_t length;
  int kept = errno, full = 0;
  if (list && access(list, F_OK) == 0) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length > 0) path[length] = 0, full = is_listed(path);
  }
  errno = full ? ENOSPC : kept;
  return full;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* data, size_t size) { return is_full(fd) ? -1 : REAL(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec* parts, int count) { return is_full(fd) ? -1 : REAL(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) { return is_full(fd) ? -1 : REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) { return is_full(fd) ? -1 : REAL(pwrite64)(fd, data, size, at); }
int fallocate(int fd, int mode, off_t at, off_t size) { return is_full(fd) ? -1 : REAL(fallocate)(fd, mode, at, size); }
int fallocate64(int fd, int mode, off64_t at, off64_t size) { return is_full(fd) ? -1 : REAL(fallocate64)(fd, mode, at, size); }
int posix_fallocate(int fd, off_t at, off_t size) { return is_full(fd) ? ENOSPC : REAL(posix_fallocate)(fd, at, size); }
