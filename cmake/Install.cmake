# What `cmake --install` puts beside the programs, for handlers outside of this tree: header, test kit, libraries and the CMake package (component
# "development"), and `cashew` with what it starts; of the broker's plugin (component "plugin") what sets a broker up. The programs' component is "program".
#
# The package has every library of this tree that programs and tests of handlers are linked with, under the names that cmake/Programs.cmake and
# cmake/HandlerTests.cmake use here as well. No installed file names the prefix: it can be moved.
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/cashewd)
set(data ${CMAKE_INSTALL_DATADIR}/cashewd)

# ---- Libraries ----

get_property(targets GLOBAL PROPERTY cashew_parts)
list(REMOVE_ITEM targets provider) # cashew-token's alone
list(APPEND targets cashew_api cashew_store_api cashew_store_headers cashew_logging cashew_loggly cashew_store cashewd_program cashewd_host_program
	cashew_kit_api cashew_kit cashew_kit_fake cashew_kit_real cashew_run cashew_fake_store cashew_flags cashew_flags_common cashew_fortify)
foreach(target IN LISTS targets)
	if(NOT TARGET ${target})
		continue() # the kit's, where nobody wants it
	endif()
	get_target_property(name ${target} EXPORT_NAME)
	if(NOT name)
		set(name ${target})
	endif()
	add_library(cashewd::${name} ALIAS ${target})
endforeach()
add_library(cashewd::handler_flags ALIAS cashew_flags)
if(NOT CASHEW_DEVELOPMENT)
	return()
endif()
install(TARGETS ${targets} EXPORT cashewd COMPONENT development
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/cashewd OBJECTS DESTINATION ${CMAKE_INSTALL_LIBDIR}/cashewd)
install(EXPORT cashewd NAMESPACE cashewd:: FILE cashewdTargets.cmake DESTINATION ${package} COMPONENT development)

# ---- The packages of CMake and pkg-config ----

# As long as the first number is 0, the second one says whether a handler still compiles.
set(compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
	set(compatibility SameMinorVersion)
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cashewdConfigVersion.cmake COMPATIBILITY ${compatibility})
install(FILES cmake/cashewdConfig.cmake cmake/Libraries.cmake cmake/Handlers.cmake cmake/HandlerLinks.cmake cmake/HandlerTests.cmake cmake/Programs.cmake
	${PROJECT_BINARY_DIR}/cashewdConfigVersion.cmake DESTINATION ${package} COMPONENT development)
install(FILES runtime/include/cashew.h runtime/include/cashew_macros.h tests/kit/cashew_test.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cashewd
	COMPONENT development)

file(RELATIVE_PATH prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/cashewd.pc.in ${PROJECT_BINARY_DIR}/cashewd.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cashewd.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

# ---- cashew ----

# The tool and what it starts find one another as in the checkout. What lies elsewhere stands in the file "installed".
foreach(kind BIN LIB LIBEXEC)
	file(RELATIVE_PATH to_${kind} ${CMAKE_INSTALL_FULL_DATADIR}/cashewd ${CMAKE_INSTALL_FULL_${kind}DIR})
endforeach()
file(RELATIVE_PATH to_tool ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/cashewd/cashew)
configure_file(cmake/installed.in ${PROJECT_BINARY_DIR}/installed/installed @ONLY)
file(CREATE_LINK "${to_tool}" ${PROJECT_BINARY_DIR}/installed/cashew SYMBOLIC)
install(PROGRAMS ${PROJECT_BINARY_DIR}/installed/cashew DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT development)
install(PROGRAMS cashew DESTINATION ${data} COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/installed/installed DESTINATION ${data} COMPONENT development)
install(FILES cmake/project/CMakeLists.txt DESTINATION ${data}/project COMPONENT development)
install(DIRECTORY examples/new DESTINATION ${data}/examples COMPONENT development)
foreach(script examples/demo/run examples/database/run examples/packages/install examples/web/fetch examples/web/server tests/kit/on_database)
	get_filename_component(folder ${script} DIRECTORY)
	install(PROGRAMS ${script} DESTINATION ${data}/${folder} COMPONENT development)
endforeach()
install(FILES examples/demo/shown.sh examples/demo/web.sh DESTINATION ${data}/examples/demo COMPONENT development)
foreach(file index.html page.css page.js view.js device.js icon.svg package.json package-lock.json)
	install(FILES examples/web/${file} DESTINATION ${data}/examples/web COMPONENT development)
endforeach()
install(FILES examples/database/requirements.txt DESTINATION ${data}/examples/database COMPONENT development)
install(DIRECTORY examples/own-handlers DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT development PATTERN build EXCLUDE)
