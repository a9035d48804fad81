// Toggles a light every sixteen clocks.
module blink(input clk, input rst, output reg led);
  reg [3:0] count;
  always @(posedge clk)
    if (rst) begin
      count <= 0;
      led <= 0;
    end else begin
      count <= count + 1;
      if (&count)
        led <= ~led;
    end
endmodule
