// SPDX-License-Identifier: Apache-2.0
#include "fs/mount.hpp"

#include <malloc.h>

#include <utility>

#include "fs/control.hpp"
#include "fs/filesystem.hpp"
#include "fs/fuse_session.hpp"
#include "fs/mountpoint.hpp"
#include "fs/records.hpp"

namespace nacre {
namespace {

// Buffers of extents and blocks come and go among small things that stay: from malloc's heaps
// their room would never be had again.  Mapped each by itself, it goes back to the system.
void give_large_buffers_back() noexcept {
  ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(extent_size));  // and it stays there
  // Under the bound above lie the pages that LMDB writes next: freed with each commit, and as
  // many needed for the one after.
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20U);
}

}  // namespace

void serve_mount(MountPlan plan, std::unique_ptr<Remote> remote) {
  give_large_buffers_back();
  check_mountpoint(plan.mountpoint);  // before anything is asked of the server
  const SessionOptions options = {.mountpoint = plan.mountpoint,
                                  .source = plan.source,
                                  .read_only = plan.read_only,
                                  .fuse_options = plan.fuse_options,
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
