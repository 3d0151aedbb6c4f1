# SPDX-License-Identifier: Apache-2.0
#
# Makes of what was installed for a package what Debian's policy wants of its documents.
# Run by cpack between the two.
cmake_minimum_required(VERSION 3.25)

set(share "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share")
set(doc "${share}/doc/nacre")

file(RENAME "${share}/zsh/site-functions" "${share}/zsh/vendor-completions")

file(REMOVE "${doc}/LICENSE")
file(COPY_FILE "${CMAKE_CURRENT_LIST_DIR}/copyright" "${doc}/copyright")
file(RENAME "${doc}/CHANGELOG.md" "${doc}/changelog")
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)  # SOURCE_DATE_EPOCH, where it is set
file(WRITE "${doc}/changelog.Debian"
"nacre (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Packaged from the sources; what is new is in changelog.gz.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")

file(GLOB pages "${share}/man/man*/*.[1-9]")
execute_process(COMMAND gzip -9n "${doc}/changelog" "${doc}/changelog.Debian" ${pages}
                COMMAND_ERROR_IS_FATAL ANY)

# Modes are the same, whatever the umask of who packs.
set(everybody OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
file(CHMOD_RECURSE "${doc}" FILE_PERMISSIONS ${everybody})
file(CHMOD_RECURSE "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr"
     DIRECTORY_PERMISSIONS ${everybody} OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
