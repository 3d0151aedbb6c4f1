// SPDX-License-Identifier: Apache-2.0
#include "fs/mount.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "fs/control.hpp"
#include "fs/filesystem.hpp"
#include "fs/fuse_session.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

// Whether a mode that is shown could keep somebody from something.  Where nobody but the owner gets
// in, only what we refuse ourselves: then the kernel need not know a folder's mode, which it would
// ask for again after each change in it.
bool modes_matter(const MountPlan& plan) {
  constexpr mode_t of_the_owner = 0700;
  const auto others = [](const std::string& option) { return option.starts_with("allow_"); };
  return std::ranges::any_of(plan.fuse_options, others) || plan.shown.uid != ::geteuid() ||
         ((plan.shown.file_mask | plan.shown.folder_mask) & of_the_owner) != 0;
}

}  // namespace

void serve_mount(MountPlan plan, std::unique_ptr<Remote> remote) {
  check_mountpoint(plan.mountpoint);  // before anything is asked of the server
  const SessionOptions options = {.mountpoint = plan.mountpoint,
                                  .source = plan.source,
                                  .read_only = plan.read_only,
                                  .check_modes = modes_matter(plan),
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
