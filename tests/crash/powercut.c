// SPDX-License-Identifier: Apache-2.0
//
// A disk that can lose its power, for tests/crash: preloaded into a daemon, it keeps what the daemon
// has been told is on the disk.
//
//   NACRE_DISK   the folder that is this disk
//   NACRE_SHELF  where to keep things, outside of it: per file that was synced a copy `<inode>`, as
//                it was when the last sync of it began, and `names`, the disk's names at the last
//                sync of anything, one a line: inode, d or f, path.  Each is replaced whole.
//
// That names follow any sync is what journals of ext4, xfs and btrfs give.  The call itself is not
// made: nothing here outlives the test, and it would only be slow.  LMDB writes with pwrite, not
// through its map, so msync is of no interest.
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static FILE* listing;
static size_t root_length;

static void give_up(const char* what) {
  perror(what);
  abort();  // a test must not go on with a disk that forgets
}

static int starts_with_folder(const char* path, const char* folder) {
  const size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

// Whether `fd` is on the disk.
static int on_disk(int fd, const char* disk) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return starts_with_folder(path, disk);
}

static void copy_file(int fd, const char* target) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int in = open(link, O_RDONLY | O_CLOEXEC);
  const int out = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (in < 0 || out < 0) give_up(target);
  static char piece[1 << 20];  // under the mutex
  ssize_t got = 0;
  while ((got = read(in, piece, sizeof piece)) > 0) {
    if (write(out, piece, (size_t)got) != got) give_up(target);
  }
  if (got < 0) give_up(link);
  close(in);
  close(out);
}

static int list_name(const char* path, const struct stat* st, int type, struct FTW* ftw) {
  (void)type;
  (void)ftw;
  if (path[root_length] == '\0') return 0;
  fprintf(listing, "%lu %c %s\n", (unsigned long)st->st_ino, S_ISDIR(st->st_mode) ? 'd' : 'f',
          path + root_length + 1);
  return 0;
}

static void keep(int fd) {
  const char* disk = getenv("NACRE_DISK");
  const char* shelf = getenv("NACRE_SHELF");
  struct stat st;
  if (disk == NULL || shelf == NULL || fstat(fd, &st) != 0 || !on_disk(fd, disk)) return;
  char fresh[4096], target[4096];
  pthread_mutex_lock(&one_at_a_time);
  if (S_ISREG(st.st_mode)) {
    snprintf(fresh, sizeof fresh, "%s/fresh", shelf);
    snprintf(target, sizeof target, "%s/%lu", shelf, (unsigned long)st.st_ino);
    copy_file(fd, fresh);
    if (rename(fresh, target) != 0) give_up(target);
  }
  snprintf(fresh, sizeof fresh, "%s/names.fresh", shelf);
  snprintf(target, sizeof target, "%s/names", shelf);
  listing = fopen(fresh, "we");
  if (listing == NULL) give_up(fresh);
  root_length = strlen(disk);
  nftw(disk, list_name, 16, FTW_PHYS);
  if (fclose(listing) != 0 || rename(fresh, target) != 0) give_up(target);
  pthread_mutex_unlock(&one_at_a_time);
}

int fsync(int fd) {
  keep(fd);
  return 0;
}

int fdatasync(int fd) {
  keep(fd);
  return 0;
}
