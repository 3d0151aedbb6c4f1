// SPDX-License-Identifier: Apache-2.0
//
// The one table from our words to the kernel's.  Unreachable is never ENOENT:
// programs delete and recreate what they are told does not exist.
#pragma once

#include <cerrno>

#include "base/error.hpp"

namespace nacre {

[[nodiscard]] constexpr int to_errno(Errc code) noexcept {
  switch (code) {  // no default: the compiler names the one we forgot
    case Errc::not_found: return ENOENT;
    case Errc::exists: return EEXIST;
    case Errc::not_directory: return ENOTDIR;
    case Errc::is_directory: return EISDIR;
    case Errc::not_empty: return ENOTEMPTY;
    case Errc::name_too_long: return ENAMETOOLONG;
    case Errc::not_permitted: return EPERM;
    case Errc::too_large: return EFBIG;
    case Errc::no_data: return ENXIO;        // as lseek(2) says it
    case Errc::cross_library: return EXDEV;  // mv copies then
    case Errc::invalid: return EINVAL;
    case Errc::unsupported: return EOPNOTSUPP;
    case Errc::denied: return EACCES;
    case Errc::wrong_password: return EACCES;
    case Errc::locked: return EACCES;
    case Errc::unreachable: return ETIMEDOUT;  // EHOSTUNREACH is no errno of a file for most tools
    case Errc::busy: return EIO;               // EAGAIN would be retried without a pause
    case Errc::gone: return ESTALE;
    case Errc::rolled_back: return EIO;
    case Errc::unconfirmed: return EIO;
    case Errc::corrupt: return EIO;
    case Errc::quota: return EDQUOT;
    case Errc::full: return ENOSPC;
    case Errc::read_only: return EROFS;
    case Errc::interrupted: return EINTR;
    case Errc::internal: return EIO;
  }
  return EIO;
}

}  // namespace nacre
