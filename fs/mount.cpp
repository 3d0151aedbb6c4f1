// SPDX-License-Identifier: Apache-2.0
#include "fs/mount.hpp"

#include <malloc.h>

#include <utility>

#include "fs/control.hpp"
#include "fs/filesystem.hpp"
#include "fs/fuse_session.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

// Buffers of extents and blocks come and go all the time.  Mapped each by itself, as malloc does
// with large ones, each costs page faults, and when it goes an interrupt of every processor.
void keep_large_buffers() noexcept {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as much as malloc lets it be
  ::mallopt(M_TRIM_THRESHOLD, 2 << 20);
  ::mallopt(M_ARENA_MAX, 1);  // or every thread keeps what it had
}

}  // namespace

void serve_mount(MountPlan plan, std::unique_ptr<Remote> remote) {
  keep_large_buffers();
  check_mountpoint(plan.mountpoint);  // before anything is asked of the server
  const SessionOptions options = {.mountpoint = plan.mountpoint,
                                  .source = plan.source,
                                  .read_only = plan.read_only,
                                  .fuse_options = plan.fuse_options,
                                  .shield = plan.shield,
                                  .patience = std::chrono::seconds(plan.timeout_seconds),
                                  .ready = plan.ready ? plan.ready : [] {}};
  const auto fs = make_filesystem(std::move(plan), std::move(remote));

  // Stops the filesystem before those who call it wait for its answers: a
  // `sync --wait` ends when it is stopped.
  struct Stopped {
    Filesystem& fs;
    ~Stopped() { fs.stop(); }
  };
  FuseSession session(*fs, options);
  fs->on_unmount([&session] { session.unmount(); });
  const ControlServer control(control_path(options.mountpoint), [&fs](ControlRequest request) {
    return fs->control(std::move(request));
  });
  fs->start(session.kernel());
  const Stopped stopped{*fs};
  session.serve();
}

}  // namespace nacre
