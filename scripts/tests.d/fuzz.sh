# SPDX-License-Identifier: GPL-2.0
#
# Hostile input: random bytes for every parameter and every file in debugfs, when the
# tool is loaded and when it runs; and who may read and write them at all.

fuzz_seed=${DOD_SEED:-7}
python3 - "$fuzz_seed" "$tmp/payloads.tar" "$tmp/loads" <<-'END'
	import io, random, sys, tarfile

	rng = random.Random(int(sys.argv[1]))
	sizes = [0, 1, 2, 3, 7, 16, 47, 48, 63, 64, 65, 79, 80, 81, 127, 128, 255, 256, 511, 512,
	         513, 1024, 4095, 4096, 4097, 9000, 65536]
	types = ["cpu-read", "cpu-write", "cacheline-sharing", "leak-at-unbind"]
	words = {
	    "fault": ["report", "panic"],
	    "content": ["off", "sample", "on"],
	    "off_types": types,
	    "off_drivers": [t + ":e1000*" for t in types] + ["nvme", "*", "[a-", "\\", "?" * 63],
	    "off_devices": ["0000:00:1f.*", "cpu-read:0000:*", "*a*a*a*a*a*a*b", "[!-]["],
	    "wires": ["*mmc*:40", "0000:00:02.0:28", "x:64", "x:65", "x:-1", ":8", "x:"],
	    "lookup": ["nvme 0x1000", "0000:00:02.0 -1", "x 99999999999999999999", "a b"],
	}
	numbers = ["0", "1", "-1", "64", "0x40", "010", "4294967295", "4294967296", "1e3", "+7",
	           "18446744073709551616", " 5", "5 ", "5\n\n", "Y", "n", "on", "off"]

	def noise(size):
	    return rng.randbytes(size)

	def printable(size):
	    return bytes(rng.randrange(33, 127) for _ in range(size))

	def mutated(word):
	    data = bytearray(word.encode() * rng.choice([1, 1, 1, 2]))
	    for _ in range(rng.randrange(3)):
	        data[rng.randrange(len(data))] = rng.choice(b"\0\n,: *\xff" + noise(1))
	    return bytes(data)

	files = {}
	for i, size in enumerate(sizes):
	    files[f"all/{i:02}"] = noise(size)
	    files[f"all/p{i:02}"] = printable(size)
	for i, number in enumerate(numbers):
	    files[f"all/n{i:02}"] = number.encode()
	for param, known in words.items():
	    for i, word in enumerate(known):
	        files[f"{param}/w{i:02}"] = word.encode()
	        files[f"{param}/l{i:02}"] = (word + "\n").encode()
	    for i in range(12):
	        files[f"{param}/m{i:02}"] = mutated(rng.choice(known))
	    # Just as long and as many as it may be, and one more.
	    for n in 31, 32, 33:
	        files[f"{param}/n{n}"] = ",".join(rng.choice(known) for _ in range(n)).encode()
	    for size in 510, 511, 512, 513, 4095, 4096, 5000:
	        files[f"{param}/s{size}"] = (known[0] * size + ",")[:size].encode()
	        files[f"{param}/c{size}"] = b"," * size
	with tarfile.open(sys.argv[2], "w") as tar:
	    for name, data in files.items():
	        info = tarfile.TarInfo("payloads/" + name)
	        info.size = len(data)
	        tar.addfile(info, io.BytesIO(data))

	# What insmod can be told has no blanks, and no quotes.
	names = list(words)[:-1] + ["pool_max", "pool_reserve", "noncoherent", "dedup", "strict",
	        "report_burst", "content_max", "watch_cpu", "nosuch"]
	with open(sys.argv[3], "w") as loads:
	    for name in names:
	        for value in (rng.choice(words.get(name, numbers)), rng.choice(numbers),
	                      printable(rng.choice([1, 20, 600])).decode()):
	            value = value.strip().replace('"', "").replace("'", "").replace("\\", "")
	            value = "".join(c for c in value if not c.isspace())
	            if name in ("pool_max", "pool_reserve") and len(value) > 4:
	                value = value[:4]
	            loads.write(f"{name}={value}\n")
END

echo "seed $fuzz_seed (DOD_SEED)"
check "the kernel survives (seed $fuzz_seed)" vm "$build" --ko "$tool_ko" --timeout 600 \
	--ko "$kunit_ko" --append 'kunit.filter_glob=dma_owner_access' \
	--file "$tmp/payloads.tar" --file "$tmp/loads" \
	-- 'sh /files/fuzz.sh'
requirements fuzz "$out"
# But for what the suite provokes.
grep -av 'BUG: DMA_OWNER: cpu-[a-z]* in test_' "$console" >"$tmp/fuzz.console"
check "no complaint" no_complaints "$tmp/fuzz.console"
