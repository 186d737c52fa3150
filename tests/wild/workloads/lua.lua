-- SPDX-License-Identifier: MIT
-- What Lua programs do with processes and exits.
io.stdout:setvbuf("line")

local function show_process()
	for _, name in ipairs({ "status", "limits" }) do
		for line in io.lines("/proc/self/" .. name) do
			if name == "limits" or line:match("^Sig") or line:match("^Shd") or line:match("^Umask") or line:match("^Threads") then
				print(line)
			end
		end
	end
	print(os.getenv("HOME"), os.getenv("NOT_SET"))
end

-- Closed when the state is: by os.exit(..., true), last thing.
local kept <close> = setmetatable({}, { __close = function() print("closed") end })
setmetatable({}, { __gc = function() print("collected", os.execute("exit 8")) end })
show_process()
print("execute", os.execute("exit 3"))
print("killed", os.execute("kill -KILL $$"))
print("own kind", os.execute("lua -e 'print(\"the same program\") os.exit(4)'"))
for line in io.popen(os.getenv("STATE")):lines() do
	print(line)
end
local pipe = io.popen("tr a-z A-Z", "w")
pipe:write("down a pipe\n")
print(pipe:close())
local name = os.tmpname()
print(os.remove(name))
print("gate", io.popen(os.getenv("GATE") .. "/gate"):read("a"))
io.stdout:setvbuf("full")
io.write("left in the buffer\n")
os.exit(42, true)
