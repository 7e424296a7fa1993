# The BEAM's own GenServer, measured as the Python peers are; `serve.py` has the protocol.

defmodule Counter do
  use GenServer

  def start_link(options), do: GenServer.start_link(__MODULE__, 0, options)

  @impl true
  def init(value), do: {:ok, value}

  @impl true
  def handle_call({:increment, by}, _from, value), do: {:reply, value + by, value + by}

  @impl true
  def handle_cast(:crash, _value), do: exit(:as_asked)
  def handle_cast({:add, by}, value), do: {:noreply, value + by}
end

defmodule Rows do
  @most_restarts 1_000_000_000

  def call(count, clients) do
    {:ok, counter} = Counter.start_link([])
    share = div(count, clients)

    each =
      timed(count, fn ->
        1..clients
        |> Enum.map(fn _ -> Task.async(fn -> repeat(share, fn -> GenServer.call(counter, {:increment, 1}) end) end) end)
        |> Task.await_many(:infinity)
      end)

    ^count = GenServer.call(counter, {:increment, 0})
    GenServer.stop(counter)
    each
  end

  def cast(count) do
    {:ok, counter} = Counter.start_link([])

    each =
      timed(count, fn ->
        repeat(count, fn -> GenServer.cast(counter, {:add, 1}) end)
        ^count = GenServer.call(counter, {:increment, 0}, :infinity)
      end)

    GenServer.stop(counter)
    each
  end

  def start_stop(count) do
    timed(count, fn ->
      counters = for _ <- 1..count, do: elem(Counter.start_link([]), 1)
      Enum.each(counters, &GenServer.stop/1)
    end)
  end

  def memory(count) do
    :erlang.garbage_collect()
    before = resident()

    counters =
      for _ <- 1..count do
        {:ok, counter} = Counter.start_link([])
        GenServer.call(counter, {:increment, 1})
        counter
      end

    after_them = resident()
    Enum.each(counters, &GenServer.stop/1)
    (after_them - before) / count
  end

  def crash_restart(count) do
    children = [%{id: :counter, start: {Counter, :start_link, [[name: :counter]]}}]

    {:ok, supervisor} =
      Supervisor.start_link(children, strategy: :one_for_one, max_restarts: @most_restarts)

    each =
      timed(count, fn ->
        repeat(count, fn ->
          GenServer.cast(:counter, :crash)
          1 = answers()
        end)
      end)

    Supervisor.stop(supervisor)
    each
  end

  def keyed(count) do
    {:ok, supervisor} = PartitionSupervisor.start_link(child_spec: Counter, name: :pool, partitions: 8)
    keys = for n <- 1..count, do: "list #{n}"

    each =
      timed(count, fn ->
        Enum.each(keys, &GenServer.call({:via, PartitionSupervisor, {:pool, &1}}, {:increment, 1}))
      end)

    Supervisor.stop(supervisor)
    each
  end

  defp answers do
    GenServer.call(:counter, {:increment, 1})
  catch
    :exit, _ ->
      :erlang.yield()
      answers()
  end

  defp repeat(0, _work), do: :ok

  defp repeat(count, work) do
    work.()
    repeat(count - 1, work)
  end

  defp timed(count, work) do
    {microseconds, _} = :timer.tc(work)
    microseconds / count
  end

  defp resident do
    [_, kilobytes] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kilobytes) * 1024
  end
end

defmodule Serve do
  def loop do
    case IO.gets("") do
      :eof ->
        :ok

      line ->
        [row | arguments] = String.split(line)
        :erlang.garbage_collect()

        try do
          cost = apply(Rows, String.to_existing_atom(row), Enum.map(arguments, &String.to_integer/1))
          IO.puts("ok #{cost}")
        rescue
          error -> IO.puts("error #{inspect(error)}" |> String.replace("\n", " "))
        end

        loop()
    end
  end
end

Logger.configure(level: :none)
rows = ~w(call cast start_stop memory crash_restart keyed)
IO.puts("ready #{System.version()}/OTP-#{System.otp_release()} #{Enum.join(rows, " ")}")
Serve.loop()
