# SPDX-License-Identifier: Apache-2.0
#
# Who may include whom.  Run by ctest; names every line that strays.
cmake_minimum_required(VERSION 3.25)

set(base   base)
set(crypto base crypto)
set(remote base crypto remote)
set(cache  base crypto cache)
set(fs     base crypto remote cache fs)
set(server base crypto remote server)
set(cli    base crypto remote cache fs server cli)

# A foreign library's headers, and the files that may know it.
set(foreign
  "sodium"      "^crypto/"
  "argon2"      "^crypto/"
  "openssl/"    "^(crypto/|server/|cli/certificate\\.cpp$)"
  "curl/"       "^remote/http(_[a-z]+)?\\.[ch]pp$"
  "simdjson"    "^remote/json\\.cpp$"
  "zlib"        "^remote/zlib\\.cpp$"
  "lmdb"        "^cache/db\\.cpp$"
  "fuse"        "^fs/fuse_[a-z]+\\.(cpp|hpp)$"
  "httplib"     "^server/"
  "CLI/"        "^cli/(app|arguments(_[a-z]+)?|completions|config)\\.[ch]pp$"
  "systemd/"    "^cli/bus\\.hpp$"
  "cli/bus"     "^cli/(desktop|sleep)\\.cpp$")
list(LENGTH foreign last)
math(EXPR last "${last} - 2")

foreach(layer base crypto remote cache fs server cli)
  file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/${layer}/*.[ch]pp")
  if(NOT files)
    message(SEND_ERROR "${ROOT}/${layer}: no sources here: has the folder moved?")
  endif()
  foreach(file IN LISTS files)
    file(STRINGS "${ROOT}/${file}" lines REGEX "^[ \t]*#[ \t]*include")
    foreach(line IN LISTS lines)
      # Ours are named from the root, so that no "../" hides where it goes.
      if(line MATCHES "\"")
        if(NOT line MATCHES "\"([a-z]+)/")
          message(SEND_ERROR "${file}: ${line} does not begin with a layer")
        elseif(NOT CMAKE_MATCH_1 IN_LIST ${layer})
          message(SEND_ERROR "${file}: ${layer}/ may not include ${CMAKE_MATCH_1}/")
        endif()
      endif()
      foreach(n RANGE 0 ${last} 2)
        math(EXPR m "${n} + 1")
        list(GET foreign ${n} library)
        list(GET foreign ${m} home)
        if(line MATCHES "[<\"]${library}" AND NOT file MATCHES "${home}")
          message(SEND_ERROR "${file}: ${line} belongs in ${home}")
        endif()
      endforeach()
    endforeach()
  endforeach()
endforeach()
